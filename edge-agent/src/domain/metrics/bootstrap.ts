import { seededRandom } from '../datasets/seeded-random.js';
import { auc, type RankedScores } from './auc.js';

export interface BootstrapOptions {
  /** Resamples with replacement, at least 1. */
  readonly resamples: number;
  /** Coverage of the interval, in (0, 1). */
  readonly level: number;
  /** Same seed, same interval: a non-negative safe integer. */
  readonly seed: number;
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Percentile bootstrap interval of the AUC (Efron & Tibshirani, An Introduction to the Bootstrap, 13.3). Positives
 * and negatives are resampled apart, so that every resample has both; NaN where a class is missing. Quantiles are
 * interpolated linearly (Hyndman & Fan type 7).
 */
export function aucInterval(ranked: RankedScores, { resamples, level, seed }: BootstrapOptions): Interval {
  const [positives, negatives] = byClass(ranked);
  if (positives.length === 0 || negatives.length === 0) return { low: Number.NaN, high: Number.NaN };
  const random = seededRandom(seed);
  const labels = new Float32Array(positives.length + negatives.length).fill(1, 0, positives.length);
  const scores = new Float64Array(labels.length);
  const values = new Float64Array(resamples);
  for (let sample = 0; sample < resamples; sample += 1) {
    draw(positives, scores.subarray(0, positives.length), random);
    draw(negatives, scores.subarray(positives.length), random);
    values[sample] = auc({ scores, labels });
  }
  values.sort();
  return { low: quantile(values, (1 - level) / 2), high: quantile(values, (1 + level) / 2) };
}

function byClass({ scores, labels }: RankedScores): [number[], number[]] {
  const classes: [number[], number[]] = [[], []];
  for (let row = 0; row < labels.length; row += 1)
    classes[(labels[row] ?? 0) > 0.5 ? 0 : 1].push(scores[row] ?? 0);
  return classes;
}

function draw(from: readonly number[], into: Float64Array, random: () => number): void {
  for (let index = 0; index < into.length; index += 1)
    into[index] = from[Math.floor(random() * from.length)] ?? 0;
}

function quantile(sorted: Float64Array, probability: number): number {
  const position = (sorted.length - 1) * probability;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}
