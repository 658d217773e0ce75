import { TributaryError } from '../errors/tributary-error.js';
import { tailLength } from './update-vector.js';

/** What the tail of a sum of update vectors says. */
export interface TailMeans {
  /** Sum of the weights of the sites: what the sum of deltas is divided by. Above 0. */
  readonly weight: number;
  /** Mean training loss, weighted by the train examples. */
  readonly loss: number;
  /** Means weighted by the test examples, by name; NaN where no site has test rows. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Reads the tail of a sum. Throws UPDATE_OUT_OF_RANGE where no weight was contributed: there is no mean of nothing. */
export function decodeTail(tail: Float64Array, metrics: readonly string[]): TailMeans {
  if (tail.length !== tailLength(metrics))
    throw new TributaryError('INTERNAL', 'the tail has another length than the metrics of the job');
  const [weight = 0, loss = 0, count = 0, ...sums] = tail;
  if (!(weight > 0))
    throw new TributaryError('UPDATE_OUT_OF_RANGE', 'the weights of the updates add up to nothing');
  const mean = (sum: number): number => (count > 0 ? sum / count : Number.NaN);
  return {
    weight,
    loss: loss / weight,
    metrics: Object.fromEntries(metrics.map((name, index) => [name, mean(sums[index] ?? 0)])),
  };
}

/** The new weights of a part of a model: base + sum / weight in float64, rounded once to float32. Overwrites `base`. */
export function applyMean(base: Float32Array, sums: Float64Array, weight: number): void {
  if (sums.length !== base.length)
    throw new TributaryError('INTERNAL', 'sums and weights have different lengths');
  for (let index = 0; index < base.length; index += 1)
    base[index] = (base[index] ?? 0) + (sums[index] ?? 0) / weight;
}

/** All of a sum at once: the new weights and what the tail says. */
export function decodeSums(
  base: Float32Array,
  sums: Float64Array,
  metrics: readonly string[],
): TailMeans & { readonly weights: Float32Array } {
  const means = decodeTail(sums.subarray(base.length), metrics);
  const weights = Float32Array.from(base);
  applyMean(weights, sums.subarray(0, base.length), means.weight);
  return { ...means, weights };
}
