import { instant } from '../instant.js';
import { butterworth, filtered, settled, type Biquad, type BiquadMemory } from './filters.js';
import { decide, INITIAL_THRESHOLDS, type Candidate, type Thresholds } from './r-peak-decision.js';
import type { TriggerFinder, TriggerHit, TriggerSample } from './trigger.js';

/** Milliseconds over which the squared slope is summed: about the widest QRS complex. */
const INTEGRATION_MS = 150;
/** A candidate is the highest sum until so much later: two beats are never closer. */
const REFRACTORY_MS = 200;
/** How much of the signal before the end of a sum is searched for the R wave. */
const SEARCH_MS = 300;
/** How far the filters lag behind the signal at most. */
const LAG_MS = 80;
/** A missed beat is looked for at most so far back. */
export const LOOKBACK_MS = 4_000;
const LOWEST_RATE = 80;
const HIGHEST_RATE = 2_000;

/** State between samples: ring buffers oldest first. */
export interface RPeakState {
  readonly periodMs: number;
  readonly lastMs: number | null;
  readonly high: BiquadMemory;
  readonly low: BiquadMemory;
  /** The signal itself, of the time of the filtered one. */
  readonly raw: readonly number[];
  /** Filtered signal, as long as the search for the R wave and the slope need. */
  readonly band: readonly number[];
  /** Squared slopes of the integration window. */
  readonly squares: readonly number[];
  /** The highest sum since the last candidate was settled. */
  readonly peak: Candidate | null;
  readonly thresholds: Thresholds;
}

export const INITIAL_R_PEAKS: RPeakState = {
  periodMs: 0,
  lastMs: null,
  high: [0, 0],
  low: [0, 0],
  raw: [],
  band: [],
  squares: [],
  peak: null,
  thresholds: INITIAL_THRESHOLDS,
};

interface Design {
  readonly high: Biquad;
  readonly low: Biquad;
  /** Samples of the spans above, and between the taps of the slope: 5 ms, as at the 200 Hz of the paper. */
  readonly integration: number;
  readonly search: number;
  readonly tap: number;
}

function designFor(periodMs: number): Design {
  const rateHz = 1_000 / periodMs;
  return {
    high: butterworth('HighPass', 5, rateHz),
    low: butterworth('LowPass', 15, rateHz),
    integration: Math.round(INTEGRATION_MS / periodMs),
    search: Math.round(SEARCH_MS / periodMs),
    tap: Math.max(1, Math.round(5 / periodMs)),
  };
}

/**
 * Finds R waves in ECG in the manner of Pan and Tompkins (A Real-Time QRS Detection Algorithm, IEEE Transactions on
 * Biomedical Engineering 32(3), 1985): band pass 5 to 15 Hz, slope, square, sum over 150 ms, two adapting thresholds, and a
 * search back for missed beats. The filters of the paper are for 200 Hz; here they are Butterworth sections for the rate
 * of the signal, 80 to 2000 Hz; others find nothing. A gap, a missing sample or another rate restarts the filters and
 * keeps the thresholds.
 */
export function rPeakFinder(): TriggerFinder<RPeakState> {
  return { initial: INITIAL_R_PEAKS, lookbackMs: LOOKBACK_MS, find };
}

function find(
  state: RPeakState,
  samples: readonly TriggerSample[],
): { readonly state: RPeakState; readonly hits: readonly TriggerHit[] } {
  const hits: TriggerHit[] = [];
  let scan = new Scan(state);
  for (const sample of samples) {
    if (!scan.follows(sample)) scan = new Scan(restarted(scan.state(), sample));
    if (sample.value !== null) scan.take(sample.timeMs, sample.value, hits);
  }
  return { state: scan.state(), hits };
}

function restarted({ thresholds }: RPeakState, { periodMs, value }: TriggerSample): RPeakState {
  const usable = value !== null && periodMs >= 1_000 / HIGHEST_RATE && periodMs <= 1_000 / LOWEST_RATE;
  const kept = { ...thresholds, lastMs: null, waiting: [] };
  return { ...INITIAL_R_PEAKS, periodMs: usable ? periodMs : 0, thresholds: kept };
}

/** The work on a few samples: a copy of the state that may change. */
class Scan {
  readonly #periodMs: number;
  readonly #design: Design | undefined;
  #lastMs: number | null;
  #high: BiquadMemory;
  #low: BiquadMemory;
  readonly #raw: number[];
  readonly #band: number[];
  readonly #squares: number[];
  #peak: Candidate | null;
  #thresholds: Thresholds;

  constructor(state: RPeakState) {
    this.#periodMs = state.periodMs;
    this.#design = state.periodMs > 0 ? designFor(state.periodMs) : undefined;
    this.#lastMs = state.lastMs;
    this.#high = [...state.high];
    this.#low = [...state.low];
    this.#raw = [...state.raw];
    this.#band = [...state.band];
    this.#squares = [...state.squares];
    this.#peak = state.peak;
    this.#thresholds = state.thresholds;
  }

  state(): RPeakState {
    const { search, tap, integration } = this.#design ?? { search: 0, tap: 0, integration: 0 };
    return {
      periodMs: this.#periodMs,
      lastMs: this.#lastMs,
      high: [...this.#high],
      low: [...this.#low],
      raw: newest(this.#raw, search + 4 * tap),
      band: newest(this.#band, search + 4 * tap),
      squares: newest(this.#squares, integration),
      peak: this.#peak,
      thresholds: this.#thresholds,
    };
  }

  /** Whether a sample is the next of the same signal. */
  follows({ timeMs, periodMs, value }: TriggerSample): boolean {
    if (value === null || periodMs !== this.#periodMs) return false;
    return this.#lastMs === null ? this.#band.length === 0 : timeMs - this.#lastMs <= 1.5 * periodMs;
  }

  take(timeMs: number, value: number, hits: TriggerHit[]): void {
    const design = this.#design;
    if (design === undefined) return;
    if (this.#lastMs === null) {
      this.#high = settled(design.high, value);
      this.#low = [0, 0];
    }
    this.#lastMs = timeMs;
    this.#raw.push(value);
    this.#band.push(filtered(design.low, this.#low, filtered(design.high, this.#high, value)));
    const slope = this.#slope(design.tap);
    this.#squares.push(slope * slope);
    const sum = this.#sum(design);
    this.#watch(timeMs, sum, slope, design, hits);
  }

  /** Five-point derivative of the paper. */
  #slope(tap: number): number {
    const at = (back: number): number => this.#band[this.#band.length - 1 - back * tap] ?? 0;
    return this.#band.length > 4 * tap ? (2 * at(0) + at(1) - at(3) - 2 * at(4)) / 8 : 0;
  }

  #sum({ integration }: Design): number {
    let sum = 0;
    for (let index = Math.max(0, this.#squares.length - integration); index < this.#squares.length; index++)
      sum += this.#squares[index] ?? 0;
    return sum / integration;
  }

  /** Keeps the highest sum; when none was higher for long enough it is a candidate, and judged. */
  #watch(timeMs: number, sum: number, slope: number, design: Design, hits: TriggerHit[]): void {
    const peak = this.#peak;
    if (peak === null || sum > peak.sum) {
      const steepest = this.#steepest(design, slope);
      this.#peak = { timeMs: this.#crest(timeMs, design), atMs: timeMs, sum, slope: steepest };
    } else if (timeMs - peak.atMs >= REFRACTORY_MS) {
      this.#peak = null;
      const { thresholds, hits: found } = decide(this.#thresholds, peak);
      this.#thresholds = thresholds;
      hits.push(...found);
    }
  }

  /** Largest slope in the window of the sum: T waves rise more slowly than the QRS before them. */
  #steepest({ integration }: Design, slope: number): number {
    let most = slope * slope;
    for (let index = Math.max(0, this.#squares.length - integration); index < this.#squares.length; index++)
      most = Math.max(most, this.#squares[index] ?? 0);
    return Math.sqrt(most);
  }

  /**
   * When the signal was farthest from its mean, shortly before the filtered one was farthest from zero: the filters lag by
   * up to 80 ms, and the rebound behind an R wave may outdo it there.
   */
  #crest(timeMs: number, { search }: Design): number {
    const end = this.#band.length - 1;
    const start = Math.max(0, end - search);
    const crest = farthest(this.#band, start, end, 0);
    const lag = Math.round(LAG_MS / this.#periodMs);
    const best = farthest(this.#raw, Math.max(0, crest - lag), crest, mean(this.#raw, start, end));
    return instant(timeMs - (end - best) * this.#periodMs);
  }
}

/** Position from `from` to `to`, both included, of the value that is farthest from `centre`. */
function farthest(values: readonly number[], from: number, to: number, centre: number): number {
  let best = to;
  for (let index = to; index >= from; index--)
    if (Math.abs((values[index] ?? centre) - centre) > Math.abs((values[best] ?? centre) - centre))
      best = index;
  return best;
}

function mean(values: readonly number[], from: number, to: number): number {
  let sum = 0;
  for (let index = from; index <= to; index++) sum += values[index] ?? 0;
  return sum / (to - from + 1);
}

const newest = (values: readonly number[], count: number): readonly number[] =>
  values.slice(Math.max(0, values.length - count));
