import { LIMITS } from '@tributary/proto';

import type { FaultReason } from './fault.js';
import { cellsOf, withRuns } from './held-cells.js';
import type { Completion, InputId, KeyEffect, KeyEvent } from './key-step.js';
import type { KeyState } from './key-state.js';
import { cut, endTime, indexFrom, lastTime, unknownParts, type Run } from './run.js';

type ItemEvent = Extract<KeyEvent, { type: 'Item' }>;

export interface Insertion {
  readonly state: KeyState;
  readonly effects: readonly KeyEffect[];
  /** State where something of the item is new and in time. */
  readonly by: Completion;
}

/** Puts what is new and in time of an item into the state of its key, and says what became of the rest. */
export function insert(before: KeyState, event: ItemEvent, deadLetterLate: boolean): Insertion {
  const { item, input } = event;
  const state = { ...before, arrivalMs: Math.max(before.arrivalMs, event.arrivalMs) };
  if ((item.identified || event.redelivered) && state.recent.has(item.content))
    return { state, effects: skipped('Duplicate', item.run.count), by: 'Duplicate' };
  const run = item.arrived ? continued(item.run, state.newestMs) : item.run;
  if (lastTime(run) > event.arrivalMs + LIMITS.clockSkewMs) return dead(state, input, 'Future');

  const { parts, late, known } = sorted(run, state);
  if (!hasRoom(state.runs, parts)) return dead(state, input, 'Overflow');
  const letter = late > 0 && deadLetterLate;
  const effects: readonly KeyEffect[] = [
    ...skipped('Late', late),
    ...skipped('Duplicate', known),
    ...(letter ? [{ type: 'DeadLetter', input, reason: 'Late' } as const] : []),
  ];
  if (parts.length === 0) return { state, effects, by: nothingNew(late, letter) };
  const next: KeyState = {
    ...state,
    newestMs: Math.max(state.newestMs ?? -Infinity, endTime(run)),
    runs: withRuns(state.runs, parts),
    recent: state.recent.with(item.content),
  };
  return { state: next, effects, by: 'State' };
}

function nothingNew(late: number, letter: boolean): Completion {
  if (letter) return 'DeadLetter';
  return late > 0 ? 'Late' : 'Duplicate';
}

function dead(state: KeyState, input: InputId, reason: FaultReason): Insertion {
  return { state, effects: [{ type: 'DeadLetter', input, reason }], by: 'DeadLetter' };
}

/** The parts of a run that are new and in time, and how many points are late, and how many known. */
function sorted(
  run: Run,
  { floorMs, runs }: KeyState,
): { readonly parts: readonly Run[]; readonly late: number; readonly known: number } {
  const late = floorMs === null ? 0 : indexFrom(run, floorMs);
  const parts = late === run.count ? [] : unknownParts(runs, cut(run, late, run.count));
  return { parts, late, known: run.count - late - points(parts) };
}

/**
 * Samples that do not know their time follow those before them, unless they came much earlier or later: arrivals wander,
 * sampling does not.
 */
function continued(run: Run, newestMs: number | null): Run {
  if (run.periodMs === 0 || newestMs === null) return run;
  return Math.abs(run.startMs - newestMs) <= LIMITS.streamJitterMs ? { ...run, startMs: newestMs } : run;
}

function skipped(reason: 'Late' | 'Duplicate', count: number): readonly KeyEffect[] {
  return count > 0 ? [{ type: 'Skipped', reason, points: count }] : [];
}

const points = (runs: readonly Run[]): number => runs.reduce((sum, { count }) => sum + count, 0);

function hasRoom(runs: readonly Run[], more: readonly Run[]): boolean {
  if (runs.length + more.length > LIMITS.streamRunsPerKey) return false;
  return cellsOf(runs) + cellsOf(more) <= LIMITS.streamValuesPerKey;
}
