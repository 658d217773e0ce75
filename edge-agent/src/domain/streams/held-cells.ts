import { cellCount, withRun, type Run } from './run.js';

/** Of lists that were counted: they never change, and grow by a run at a time. */
const counted = new WeakMap<readonly Run[], number>();

/** Cells that the runs of a key hold. */
export function cellsOf(runs: readonly Run[]): number {
  let cells = counted.get(runs);
  if (cells === undefined) counted.set(runs, (cells = runs.reduce((sum, run) => sum + cellCount(run), 0)));
  return cells;
}

/** `runs` with `more` in their places. */
export function withRuns(runs: readonly Run[], more: readonly Run[]): readonly Run[] {
  const all = more.reduce(withRun, runs);
  counted.set(all, cellsOf(runs) + cellsOf(more));
  return all;
}
