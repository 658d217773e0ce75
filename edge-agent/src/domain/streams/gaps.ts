import { LIMITS } from '@tributary/proto';

import { endTime, firstTime, sameSeries, type Run } from './run.js';

/** Time in which samples of a series should have been and are not. */
export interface Gap {
  readonly startMs: number;
  readonly endMs: number;
}

export interface Gaps {
  /** The first of them, up to LIMITS.streamGaps. */
  readonly listed: readonly Gap[];
  readonly count: number;
  readonly totalMs: number;
}

/** Periods without a sample from which on it is a gap; clocks of devices wander by less. */
const TOLERANCE = 1.5;

/**
 * Gaps of sampled series from `startMs` up to `endMs`, the edges included. Records have no period, so nothing is known to be
 * missing between them.
 */
export function gapsBetween(runs: readonly Run[], startMs: number, endMs: number): Gaps {
  const found: Gap[] = [];
  const done: Run[] = [];
  for (const run of runs) {
    if (run.periodMs === 0 || done.some((other) => sameSeries(other, run))) continue;
    done.push(run);
    found.push(
      ...seriesGaps(
        runs.filter((other) => other.periodMs > 0 && sameSeries(other, run)),
        startMs,
        endMs,
      ),
    );
  }
  return {
    listed: found.slice(0, LIMITS.streamGaps),
    count: found.length,
    totalMs: found.reduce((sum, gap) => sum + gap.endMs - gap.startMs, 0),
  };
}

function seriesGaps(runs: readonly Run[], startMs: number, endMs: number): readonly Gap[] {
  const gaps: Gap[] = [];
  let covered = startMs;
  let periodMs = 0;
  for (const run of runs) {
    periodMs = run.periodMs;
    const [from, to] = [firstTime(run), endTime(run)];
    if (to <= startMs || from >= endMs) continue;
    // Before the first sample of a window up to a period is free: windows do not begin with a sample.
    const free = covered === startMs ? periodMs : (TOLERANCE - 1) * periodMs;
    if (from - covered > free) gaps.push({ startMs: covered, endMs: from });
    covered = Math.max(covered, to);
  }
  if (endMs - covered > (TOLERANCE - 1) * periodMs) gaps.push({ startMs: covered, endMs });
  return gaps;
}
