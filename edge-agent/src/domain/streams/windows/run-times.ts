import { indexFrom, lastTime, timeAt, type Run } from '../run.js';

/** The instant behind a sample: times are whole microseconds. */
export const AFTER_MS = 0.001;

/** Position behind the runs at the beginning that end before `ms`. */
export function skipBefore(runs: readonly Run[], skipped: number, ms: number): number {
  let at = skipped;
  for (let run = runs[at]; run !== undefined && lastTime(run) < ms; run = runs[at]) at++;
  return at;
}

/** Time of the first sample at or after `ms` in sorted runs from position `skipped` on; undefined where there is none. */
export function nextTime(runs: readonly Run[], skipped: number, ms: number): number | undefined {
  let first: number | undefined;
  for (let at = skipped; at < runs.length; at++) {
    const run = runs[at] as Run;
    const index = indexFrom(run, ms);
    if (index === run.count) continue;
    const time = timeAt(run, index);
    if (first === undefined || time < first) first = time;
    // Runs are sorted by their beginnings: one that lies after `ms` whole ends the search.
    if (index === 0) return first;
  }
  return first;
}

/** Time of the newest sample; -Infinity without any. */
export function newestTime(runs: readonly Run[]): number {
  return runs.reduce((newest, run) => Math.max(newest, lastTime(run)), -Infinity);
}

/** The runs that end at `ms` or later: the same list where none ends before, so that what is known of it stays known. */
export function heldFrom(runs: readonly Run[], ms: number): readonly Run[] {
  return runs.some((run) => lastTime(run) < ms) ? runs.filter((run) => lastTime(run) >= ms) : runs;
}
