import type { KeyState } from '../key-state.js';
import type { Run } from '../run.js';
import { heldFrom, newestTime, nextTime, skipBefore } from './run-times.js';
import type { ClosedWindow, WindowPlan } from './window-plan.js';

/** Windows that begin at the multiples of `stepMs` since 1970: tumbling ones where `stepMs` is `sizeMs`. */
export function alignedPlan(sizeMs: number, stepMs: number): WindowPlan {
  /** Start of the first window that ends after `ms`, or holds it. */
  const firstStart = (ms: number): number => (Math.floor((ms - sizeMs) / stepMs) + 1) * stepMs;

  function closed(runs: readonly Run[], openMs: number, watermarkMs: number): readonly ClosedWindow[] {
    const windows: ClosedWindow[] = [];
    let startMs = openMs;
    let skipped = 0;
    for (;;) {
      skipped = skipBefore(runs, skipped, startMs);
      const next = nextTime(runs, skipped, startMs);
      if (next === undefined) return windows;
      startMs = Math.max(startMs, firstStart(next));
      if (startMs + sizeMs > watermarkMs) return windows;
      windows.push({ startMs, endMs: startMs + sizeMs });
      startMs += stepMs;
    }
  }

  return {
    initialTrigger: null,
    advance(state, watermarkMs) {
      const windows = closed(state.runs, state.floorMs ?? -Infinity, watermarkMs);
      const floorMs = Math.max(state.floorMs ?? -Infinity, firstStart(watermarkMs));
      const runs = floorMs === state.floorMs ? state.runs : heldFrom(state.runs, floorMs);
      return { state: { ...state, watermarkMs, floorMs, runs }, windows };
    },
    flushedMs: ({ runs }: KeyState) => Math.floor(newestTime(runs) / stepMs) * stepMs + sizeMs,
  };
}
