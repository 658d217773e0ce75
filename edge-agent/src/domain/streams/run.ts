import type { Cell } from '@tributary/proto';

import { instant } from './instant.js';

/** One record, or evenly spaced samples, of some columns. Plain data: part of the state that is kept on disk. */
export interface Run {
  /** Of the sample with index 0. */
  readonly startMs: number;
  /** Between samples; 0 for a record. */
  readonly periodMs: number;
  /** Index of the first sample that is held: those before were late or known. */
  readonly first: number;
  readonly count: number;
  /** Lists of `count` cells. */
  readonly columns: Readonly<Record<string, readonly Cell[]>>;
  /** Texts that topics and rows are filled with: captures, and columns of a key. */
  readonly labels: Readonly<Record<string, string>>;
  /** Which message it came in: orders records of the same time. */
  readonly identity: string;
}

/** Time of a sample that is held, from 0. */
export function timeAt(run: Run, index: number): number {
  return run.periodMs === 0 ? run.startMs : instant(run.startMs + (run.first + index) * run.periodMs);
}

export const firstTime = (run: Run): number => timeAt(run, 0);
export const lastTime = (run: Run): number => timeAt(run, run.count - 1);
/** When the next sample is due; the time itself for a record. */
export const endTime = (run: Run): number => timeAt(run, run.count);

/** Index of the first held sample that is not before `ms`: 0 to count. */
export function indexFrom(run: Run, ms: number): number {
  if (run.periodMs === 0) return run.startMs >= ms ? 0 : 1;
  let index = Math.min(Math.max(Math.floor((ms - firstTime(run)) / run.periodMs) - 1, 0), run.count);
  while (index < run.count && timeAt(run, index) < ms) index++;
  return index;
}

/** The samples with indices from `from` up to `to`. */
export function cut(run: Run, from: number, to: number): Run {
  if (from === 0 && to === run.count) return run;
  const columns = Object.fromEntries(
    Object.entries(run.columns).map(([name, cells]) => [name, cells.slice(from, to)]),
  );
  return { ...run, first: run.first + from, count: to - from, columns };
}

/** Cells that a run holds: elements of lists count each. */
export function cellCount(run: Run): number {
  return Object.values(run.columns).reduce(
    (sum, cells) =>
      sum + (run.periodMs > 0 ? cells.length : cells.reduce<number>((all, cell) => all + sizeOf(cell), 0)),
    0,
  );
}

/** A number takes 8 bytes; a text as many as it has, in units of 8. */
function sizeOf(cell: Cell): number {
  if (typeof cell === 'string') return 1 + Math.ceil(cell.length / 8);
  return Array.isArray(cell) ? cell.length + 1 : 1;
}

/** Runs of the same columns belong to one series: within it samples may not be there twice. */
export function sameSeries(a: Run, b: Run): boolean {
  const names = Object.keys(a.columns);
  return (
    names.length === Object.keys(b.columns).length && names.every((name) => Object.hasOwn(b.columns, name))
  );
}

/** Order of runs in a state: by time, and records of one time by message, so that no order of arrival shows. */
export function compareRuns(a: Run, b: Run): number {
  return firstTime(a) - firstTime(b) || (a.identity < b.identity ? -1 : a.identity > b.identity ? 1 : 0);
}

/** A copy of sorted runs with one more in its place. */
export function withRun(runs: readonly Run[], run: Run): readonly Run[] {
  let at = runs.length;
  while (at > 0 && compareRuns(runs[at - 1] as Run, run) > 0) at--;
  return at === runs.length ? [...runs, run] : [...runs.slice(0, at), run, ...runs.slice(at)];
}

/** The parts of `run` that `runs` do not hold yet: a sample is known where one of its series lies within half a period. */
export function unknownParts(runs: readonly Run[], run: Run): readonly Run[] {
  if (run.periodMs === 0) return [run];
  const [firstMs, lastMs] = [firstTime(run), lastTime(run)];
  let parts: readonly Run[] = [run];
  for (const known of runs) {
    const half = known.periodMs / 2;
    const [from, to] = [firstTime(known) - half, endTime(known) - half];
    if (to <= firstMs || from > lastMs || known.periodMs === 0 || !sameSeries(known, run)) continue;
    parts = parts.flatMap((part) => outside(part, from, to));
  }
  return parts;
}

function outside(part: Run, fromMs: number, toMs: number): readonly Run[] {
  const [from, to] = [indexFrom(part, fromMs), indexFrom(part, toMs)];
  if (from === to) return [part];
  return [cut(part, 0, from), cut(part, to, part.count)].filter(({ count }) => count > 0);
}
