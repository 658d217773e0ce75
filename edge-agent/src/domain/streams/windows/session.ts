import { indexFrom, lastTime, timeAt, type Run } from '../run.js';
import { AFTER_MS, heldFrom, newestTime, nextTime, skipBefore } from './run-times.js';
import type { ClosedWindow, WindowPlan } from './window-plan.js';

/** Stretches with no silence of `gapMs`; one that grows to `maximumMs` ends there, and the next begins. */
export function sessionPlan(gapMs: number, maximumMs: number): WindowPlan {
  /** The session that begins with the first sample from `fromMs` on, if it is complete; and from where the next is sought. */
  function complete(
    runs: readonly Run[],
    skipped: number,
    fromMs: number,
    watermarkMs: number,
  ): { readonly window: ClosedWindow; readonly nextMs: number } | undefined {
    const startMs = nextTime(runs, skipped, fromMs);
    if (startMs === undefined) return undefined;
    const limitMs = startMs + maximumMs;
    const lastMs = lastOfSession(runs, skipped, startMs, limitMs, gapMs);
    if (lastMs === undefined) {
      if (limitMs > watermarkMs) return undefined;
      return { window: { startMs, endMs: limitMs }, nextMs: limitMs };
    }
    if (lastMs + gapMs > watermarkMs) return undefined;
    return { window: { startMs, endMs: lastMs + AFTER_MS }, nextMs: lastMs + gapMs };
  }

  return {
    initialTrigger: null,
    advance(state, watermarkMs) {
      const windows: ClosedWindow[] = [];
      let floorMs = state.floorMs ?? -Infinity;
      let skipped = 0;
      for (;;) {
        skipped = skipBefore(state.runs, skipped, floorMs);
        const found = complete(state.runs, skipped, floorMs, watermarkMs);
        if (found === undefined) break;
        windows.push(found.window);
        floorMs = found.nextMs;
      }
      const runs = heldFrom(state.runs, floorMs);
      return {
        state: { ...state, watermarkMs, floorMs: Number.isFinite(floorMs) ? floorMs : null, runs },
        windows,
      };
    },
    flushedMs: ({ runs }) => newestTime(runs) + Math.max(gapMs, maximumMs),
  };
}

/** Time of the last sample before the first silence; undefined where the session reaches `limitMs`. */
function lastOfSession(
  runs: readonly Run[],
  skipped: number,
  startMs: number,
  limitMs: number,
  gapMs: number,
): number | undefined {
  let lastMs = startMs;
  for (let at = skipped; at < runs.length; at++) {
    const run = runs[at] as Run;
    const index = indexFrom(run, startMs);
    if (index === run.count) continue;
    if (timeAt(run, index) - lastMs >= gapMs) return lastMs;
    lastMs = Math.max(lastMs, lastTime(run));
    if (lastMs >= limitMs) return undefined;
  }
  return lastMs;
}
