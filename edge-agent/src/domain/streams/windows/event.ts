import type { StreamTriggerSpec } from '@tributary/proto';

import { instant } from '../instant.js';
import type { KeyState } from '../key-state.js';
import { indexFrom, timeAt, type Run } from '../run.js';
import { rPeakFinder } from '../triggers/r-peak.js';
import { thresholdFinder } from '../triggers/threshold.js';
import type { TriggerFinder, TriggerHit, TriggerSample } from '../triggers/trigger.js';
import { AFTER_MS, heldFrom, newestTime } from './run-times.js';
import type { ClosedWindow, WindowPlan } from './window-plan.js';

/** Windows around triggers. Samples are shown to the trigger once the watermark has passed them, each once, in order. */
export function eventPlan(spec: StreamTriggerSpec): WindowPlan {
  return spec.type === 'RPeak' ? planOf(spec, rPeakFinder()) : planOf(spec, thresholdFinder(spec));
}

function planOf<State>(spec: StreamTriggerSpec, finder: TriggerFinder<State>): WindowPlan {
  const { column, beforeMs, afterMs } = spec;
  return {
    initialTrigger: finder.initial,
    advance(state, watermarkMs) {
      const samples = samplesBetween(state.runs, column, state.floorMs ?? -Infinity, watermarkMs);
      // The state is what this finder gave, in this process or, checked by its version, before.
      const found = finder.find(state.trigger as State, samples);
      const hits = [...state.hits, ...found.hits];
      const open = hits.findIndex(({ timeMs }) => timeMs + afterMs > watermarkMs);
      const closed = open < 0 ? hits : hits.slice(0, open);
      const pending = open < 0 ? [] : hits.slice(open);
      // The clock of a device that is a little slow is not late: what the trigger has not passed may still come.
      const newest = samples.at(-1)?.timeMs;
      const floorMs = newest === undefined ? state.floorMs : newest + AFTER_MS;
      const needed = Math.min(pending[0]?.timeMs ?? Infinity, watermarkMs - finder.lookbackMs) - beforeMs - 1;
      const runs = heldFrom(state.runs, needed);
      const windows = closed.map((trigger) => windowAround(trigger, beforeMs, afterMs));
      return {
        state: { ...state, watermarkMs, floorMs, runs, trigger: found.state, hits: pending },
        windows,
      };
    },
    flushedMs: ({ runs }: KeyState) => newestTime(runs) + afterMs + 1,
  };
}

function windowAround(trigger: TriggerHit, beforeMs: number, afterMs: number): ClosedWindow {
  return { startMs: instant(trigger.timeMs - beforeMs), endMs: instant(trigger.timeMs + afterMs), trigger };
}

/** Samples of a column from `fromMs` up to `toMs`, oldest first. */
function samplesBetween(
  runs: readonly Run[],
  column: string,
  fromMs: number,
  toMs: number,
): readonly TriggerSample[] {
  const samples: TriggerSample[] = [];
  for (const run of runs) {
    const cells = Object.hasOwn(run.columns, column) ? run.columns[column] : undefined;
    if (cells === undefined) continue;
    for (let index = indexFrom(run, fromMs); index < run.count; index++) {
      const timeMs = timeAt(run, index);
      if (timeMs >= toMs) break;
      const cell = cells[index];
      samples.push({ timeMs, periodMs: run.periodMs, value: typeof cell === 'number' ? cell : null });
    }
  }
  // Runs of other columns between them may overlap these; the samples of one column do not, but records may be equal.
  return samples.sort((a, b) => a.timeMs - b.timeMs);
}
