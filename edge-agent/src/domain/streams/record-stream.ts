import type { Cell, Row } from '@tributary/proto';

import type { Gaps } from './gaps.js';
import { setOwn } from './data-path.js';
import { recordDecisionId } from './identity.js';
import type { Decision, KeyEvent, KeyStep } from './key-step.js';
import type { KeyState } from './key-state.js';
import { endTime, type Run } from './run.js';

/** Records are answered as they come: nothing is waited for, and nothing of them is held but the memory of their ids. */
export function answerRecord(
  pipeline: string,
  key: string,
  state: KeyState,
  { input, item, arrivalMs, redelivered }: Extract<KeyEvent, { type: 'Item' }>,
): KeyStep {
  const { run, content, identified } = item;
  if ((identified || redelivered) && state.recent.has(content)) {
    return {
      state,
      effects: [
        { type: 'Skipped', reason: 'Duplicate', points: run.count },
        { type: 'Completed', input, by: 'Duplicate' },
      ],
    };
  }
  const [startMs, endMs] = [run.startMs, endTime(run)];
  const decision: Decision = {
    id: recordDecisionId(pipeline, key, run.identity),
    key,
    startMs,
    endMs,
    row: rowOf(run),
    points: run.count,
    gaps: NO_GAPS,
    labels: run.labels,
  };
  return {
    state: {
      ...state,
      arrivalMs: Math.max(state.arrivalMs, arrivalMs),
      recent: state.recent.with(content),
    },
    effects: [
      { type: 'Decide', decision },
      { type: 'Completed', input, by: 'Result' },
    ],
  };
}

const NO_GAPS: Gaps = { listed: [], count: 0, totalMs: 0 };

/** Cells of a record; of samples, the list of each column. */
function rowOf({ columns, labels, periodMs }: Run): Row {
  // A copy of the columns has their shape; each list is replaced by its cell.
  const row: Record<string, Cell | readonly Cell[]> = { ...columns };
  for (const name in columns) {
    const list = columns[name] ?? [];
    setOwn(
      row,
      name,
      periodMs === 0 ? list[0] : list.map((cell) => (typeof cell === 'number' ? cell : null)),
    );
  }
  for (const name in labels) if (!Object.hasOwn(columns, name)) setOwn(row, name, labels[name]);
  return row as Record<string, Cell>;
}
