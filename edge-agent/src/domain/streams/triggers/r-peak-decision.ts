import type { TriggerHit } from './trigger.js';

/** A local maximum of the sums. */
export interface Candidate {
  /** Of the R wave that it would be. */
  readonly timeMs: number;
  /** Of the sum itself. */
  readonly atMs: number;
  readonly sum: number;
  readonly slope: number;
}

/** Running estimates of Pan and Tompkins: levels of signal and noise peaks, and the mean of the last intervals. */
export interface Thresholds {
  readonly signal: number;
  readonly noise: number;
  /** Candidates of the first seconds, until levels are known. */
  readonly learning: readonly Candidate[];
  readonly learned: boolean;
  readonly lastMs: number | null;
  readonly lastSlope: number;
  /** The last eight intervals, newest last. */
  readonly intervals: readonly number[];
  /** Candidates since the last beat that were taken for noise. */
  readonly waiting: readonly Candidate[];
}

export const INITIAL_THRESHOLDS: Thresholds = {
  signal: 0,
  noise: 0,
  learning: [],
  learned: false,
  lastMs: null,
  lastSlope: 0,
  intervals: [],
  waiting: [],
};

/** The paper learns for two seconds. */
const LEARNING_MS = 2_000;
const KEPT_INTERVALS = 8;
/** Candidates come at least a fifth of a second apart, so that four seconds hold this many. */
const KEPT_CANDIDATES = 24;
const T_WAVE_MS = 360;
const MISSED = 1.66;
/** Where no interval is known yet, a beat is missed after this long (40 beats a minute). */
const LONGEST_MS = 1_500;
const MOST_MISSED_MS = 3_000;

interface Decided {
  readonly thresholds: Thresholds;
  readonly hits: readonly TriggerHit[];
}

/** What a candidate is: a beat, noise, or the sign that a beat was missed before it. */
export function decide(thresholds: Thresholds, candidate: Candidate): Decided {
  if (!thresholds.learned) return learn(thresholds, candidate);
  const hits: TriggerHit[] = [];
  const searched = searchBack(thresholds, candidate, hits);
  const judged = judge(searched, candidate, hits);
  return { thresholds: judged, hits };
}

const upperOf = ({ signal, noise }: Thresholds): number => noise + 0.25 * (signal - noise);
const lowerOf = (thresholds: Thresholds): number => upperOf(thresholds) / 2;

/** Levels from the first two seconds: beats are a third of the highest peak or more. Then those are judged as well. */
function learn(thresholds: Thresholds, candidate: Candidate): Decided {
  const learning = [...thresholds.learning, candidate].slice(-KEPT_CANDIDATES);
  const [first = candidate] = learning;
  if (candidate.atMs - first.atMs < LEARNING_MS) return { thresholds: { ...thresholds, learning }, hits: [] };
  const most = Math.max(...learning.map(({ sum }) => sum));
  const beats = learning.filter(({ sum }) => sum >= most / 3).map(({ sum }) => sum);
  const noise = learning.filter(({ sum }) => sum < most / 3).map(({ sum }) => sum);
  let current: Thresholds = {
    ...thresholds,
    learning: [],
    learned: true,
    signal: median(beats),
    noise: noise.length === 0 ? 0 : median(noise),
  };
  const hits: TriggerHit[] = [];
  for (const early of learning) current = judge(current, early, hits);
  return { thresholds: current, hits };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function judge(thresholds: Thresholds, candidate: Candidate, hits: TriggerHit[]): Thresholds {
  const beat = candidate.sum > upperOf(thresholds) && !isTWave(thresholds, candidate);
  if (beat) return accept(thresholds, candidate, 0.125, hits);
  const waiting = [...thresholds.waiting, candidate].slice(-KEPT_CANDIDATES);
  return { ...thresholds, noise: 0.125 * candidate.sum + 0.875 * thresholds.noise, waiting };
}

/** Soon after a beat, and less than half as steep. */
function isTWave({ lastMs, lastSlope }: Thresholds, { timeMs, slope }: Candidate): boolean {
  if (lastMs === null) return false;
  return timeMs - lastMs < T_WAVE_MS && slope < lastSlope / 2;
}

function accept(
  thresholds: Thresholds,
  candidate: Candidate,
  weight: number,
  hits: TriggerHit[],
): Thresholds {
  const { lastMs, intervals } = thresholds;
  // Two maxima of one wide complex share their R wave.
  if (lastMs !== null && candidate.timeMs - lastMs < 150) return thresholds;
  const intervalMs = lastMs === null ? null : candidate.timeMs - lastMs;
  hits.push({ timeMs: candidate.timeMs, intervalMs });
  return {
    ...thresholds,
    signal: weight * candidate.sum + (1 - weight) * thresholds.signal,
    lastMs: candidate.timeMs,
    lastSlope: candidate.slope,
    intervals: intervalMs === null ? intervals : [...intervals, intervalMs].slice(-KEPT_INTERVALS),
    waiting: [],
  };
}

/** Where no beat came for 1.66 mean intervals, the highest candidate since then above the lower threshold was one. */
function searchBack(thresholds: Thresholds, candidate: Candidate, hits: TriggerHit[]): Thresholds {
  const { lastMs, intervals, waiting } = thresholds;
  if (lastMs === null) return thresholds;
  const mean =
    intervals.length === 0
      ? LONGEST_MS / MISSED
      : intervals.reduce((sum, ms) => sum + ms, 0) / intervals.length;
  if (candidate.timeMs - lastMs < Math.min(MISSED * mean, MOST_MISSED_MS)) return thresholds;
  const oldest = candidate.timeMs - MOST_MISSED_MS;
  const missed = waiting
    .filter(
      (early) => early.timeMs >= oldest && early.sum > lowerOf(thresholds) && !isTWave(thresholds, early),
    )
    .reduce<Candidate | undefined>((best, next) => (best && best.sum >= next.sum ? best : next), undefined);
  if (missed === undefined) return thresholds;
  const accepted = accept(thresholds, missed, 0.25, hits);
  return { ...accepted, waiting: waiting.filter(({ timeMs }) => timeMs > missed.timeMs) };
}
