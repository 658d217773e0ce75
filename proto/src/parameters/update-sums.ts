import { TributaryError } from '../errors/tributary-error.js';
import { groupsOf, type EvaluationGroup, type TailShape } from '../metrics/evaluation-groups.js';
import { groupPart, tailLength } from './update-vector.js';

/** What the sites together say about one evaluation group; NaN where none has rows in it. */
export interface GroupMeans {
  readonly group: EvaluationGroup;
  /** Means over the sites, weighted by their test rows in the group, by name. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Standard errors of these means; only where the shape has intervals. */
  readonly standardErrors?: Readonly<Record<string, number>>;
}

/** What the tail of a sum of update vectors says. */
export interface TailMeans {
  /** Sum of the weights of the sites: what the sum of deltas is divided by. Above 0, unless nobody trains. */
  readonly weight: number;
  /** Mean training loss, weighted by the train examples; NaN where nobody trains. */
  readonly loss: number;
  /** Means of the group All. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Every group of the shape, All first. */
  readonly groups: readonly GroupMeans[];
}

/** Reads the tail of a sum. Throws UPDATE_OUT_OF_RANGE where sites train and none has a weight: there is no mean of nothing. */
export function decodeTail(tail: Float64Array, shape: TailShape): TailMeans {
  if (tail.length !== tailLength(shape))
    throw new TributaryError('INTERNAL', 'the tail has another length than the metrics of the job');
  const [weight = 0, loss = 0] = tail;
  if (!(weight > 0) && shape.trains !== false)
    throw new TributaryError('UPDATE_OUT_OF_RANGE', 'the weights of the updates add up to nothing');
  const groups = groupsOf(shape).map((group, index) =>
    groupMeans(group, groupPart(tail, shape, index), shape),
  );
  return { weight, loss: loss / weight, metrics: groups[0]?.metrics ?? {}, groups };
}

/**
 * Sites draw their rows independently of one another, so that the mean sum(c m) / sum(c) has the variance
 * sum(c^2 var(m)) / sum(c)^2.
 */
function groupMeans(
  group: EvaluationGroup,
  [count = 0, ...sums]: Float64Array,
  { metrics, intervals = false }: TailShape,
): GroupMeans {
  const named = (figure: (index: number) => number): Readonly<Record<string, number>> =>
    Object.fromEntries(metrics.map((name, index) => [name, count > 0 ? figure(index) : Number.NaN]));
  const means = named((index) => (sums[index] ?? 0) / count);
  if (!intervals) return { group, metrics: means };
  const error = (index: number): number => Math.sqrt(Math.max(0, sums[metrics.length + index] ?? 0)) / count;
  return { group, metrics: means, standardErrors: named(error) };
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
  shape: TailShape,
): TailMeans & { readonly weights: Float32Array } {
  const means = decodeTail(sums.subarray(base.length), shape);
  const weights = Float32Array.from(base);
  applyMean(weights, sums.subarray(0, base.length), means.weight);
  return { ...means, weights };
}
