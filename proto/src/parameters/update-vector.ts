import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { groupsOf, type TailShape } from '../metrics/evaluation-groups.js';

/*
 * The vector that a site sends for a round, in float32:
 *   [ w * d_0 .. w * d_(P-1),  w,  w * loss,  then per evaluation group  c,  c * m_1 .. c * m_k ]
 * d is the delta to the base model, clipped to the L2 norm clipNorm; w = min(train examples, cap) / cap and
 * c = min(test examples of the group, cap) / cap. With intervals, each group goes on with c^2 * var_1 .. c^2 * var_k,
 * the sampling variances of the metrics. Everything that is averaged is inside, so that secure aggregation hides it too.
 */

/** Elements of the tail before the groups: weight and loss. */
const TAIL_FIXED = 2;

/** Losses are clamped to [0, VALUE_BOUND], metrics to [-VALUE_BOUND, VALUE_BOUND], variances to [0, VALUE_BOUND]. */
export const VALUE_BOUND = 64;

/** The vectors of a round: a delta and a tail. */
export interface UpdateShape extends TailShape {
  /** P: elements of the delta. */
  readonly parameters: number;
}

/** Limits of a job on what one site contributes. */
export interface UpdateBounds {
  /** Largest L2 norm of a delta, above 0. */
  readonly clipNorm: number;
  /** Examples from which on a site's weight is 1. */
  readonly weightCap: number;
}

/** What one site says about one evaluation group. */
export interface GroupNumbers {
  /** Rows of the test split in the group; 0 where there are none, or too few to be told. */
  readonly examples: number;
  /** By the names of the shape; NaN where a metric is undefined at the site, such as AUC of one class. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Sampling variances of the metrics, at least 0; needed where the shape has intervals. */
  readonly variances?: Readonly<Record<string, number>>;
}

/** What training and evaluation at one site gave. */
export interface UpdateNumbers {
  /** Rows trained on, at least 1; 0 at the site that a job holds out, and where nobody trains. */
  readonly trainExamples: number;
  /** Mean training loss. */
  readonly loss: number;
  /** One a group of the shape, in its order. */
  readonly groups: readonly GroupNumbers[];
}

/** Elements of one group: its count, its metrics and, with intervals, their variances. */
export function groupLength({ metrics, intervals = false }: TailShape): number {
  return 1 + metrics.length * (intervals ? 2 : 1);
}

/** Elements of the tail; throws LIMIT_EXCEEDED for more than LIMITS.tailElements or LIMITS.evaluationGroups. */
export function tailLength(tail: TailShape): number {
  const groups = groupsOf(tail).length;
  const length = TAIL_FIXED + groups * groupLength(tail);
  if (groups > LIMITS.evaluationGroups || length > LIMITS.tailElements) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `a round reports at most ${String(LIMITS.evaluationGroups)} groups in ${String(LIMITS.tailElements - TAIL_FIXED)} figures; use fewer subgroups, sites or metrics`,
    );
  }
  return length;
}

/** The part of a tail that belongs to the group with that index, as a view. */
export function groupPart<T extends Float32Array | Float64Array>(
  tail: T,
  shape: TailShape,
  index: number,
): T {
  const start = TAIL_FIXED + index * groupLength(shape);
  return tail.subarray(start, start + groupLength(shape)) as T;
}

/** Elements of the whole vector: `vectorLength` of ledger entries and envelopes. */
export function vectorLength(shape: UpdateShape): number {
  return shape.parameters + tailLength(shape);
}

/** Largest magnitude of any element: the range that the accumulator is scaled for. */
export function updateRange(bounds: Pick<UpdateBounds, 'clipNorm'>): number {
  return Math.max(bounds.clipNorm, VALUE_BOUND);
}

/** A share of the cap: w of train examples, c of test examples; 0 to 1. */
export function exampleWeight(examples: number, weightCap: number): number {
  return Math.min(examples, weightCap) / weightCap;
}

/** Sum of squares in float64; add up those of the chunks of a delta that is too large to hold. */
export function squaredNorm(values: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? 0;
    sum += value * value;
  }
  return sum;
}

/**
 * What each element of a delta of L2 norm `norm` is multiplied by: its weight, and clipNorm / norm where it is longer.
 * Throws TRAINING_DIVERGED where the norm is not finite.
 */
export function deltaFactor(norm: number, trainExamples: number, bounds: UpdateBounds): number {
  if (!Number.isFinite(norm))
    throw new TributaryError('TRAINING_DIVERGED', 'the trained weights are not finite');
  return (
    exampleWeight(trainExamples, bounds.weightCap) * (norm > bounds.clipNorm ? bounds.clipNorm / norm : 1)
  );
}

/** Multiplies in place, each element rounded once to float32. */
export function scaleDelta(values: Float32Array, factor: number): void {
  if (factor === 1) return;
  for (let index = 0; index < values.length; index += 1) values[index] = (values[index] ?? 0) * factor;
}

/**
 * The tail of a vector. A site with an undefined metric in a group counts as one without test rows there: its part would
 * otherwise pull the mean towards 0. Throws TRAINING_DIVERGED for a loss that is not finite, INVALID_ARGUMENT for
 * impossible counts.
 */
export function updateTail(numbers: UpdateNumbers, shape: TailShape, weightCap: number): Float32Array {
  if (!Number.isFinite(numbers.loss))
    throw new TributaryError('TRAINING_DIVERGED', 'the training loss is not finite');
  const mayBeZero = shape.trains === false || groupsOf(shape).some(({ type }) => type === 'HeldOut');
  requireCount(numbers.trainExamples, mayBeZero ? 0 : 1, 'trainExamples');
  const weight = exampleWeight(numbers.trainExamples, weightCap);
  const tail = new Float32Array(tailLength(shape));
  tail.set([weight, weight * clamp(numbers.loss, 0, VALUE_BOUND)]);
  for (const index of groupsOf(shape).keys()) {
    const group = numbers.groups[index];
    if (group !== undefined) groupPart(tail, shape, index).set(groupValues(group, shape, weightCap));
  }
  return tail;
}

/** Nothing where the group has no rows or one of its figures is undefined. */
function groupValues(numbers: GroupNumbers, shape: TailShape, weightCap: number): readonly number[] {
  requireCount(numbers.examples, 0, 'examples');
  const count = exampleWeight(numbers.examples, weightCap);
  const values = shape.metrics.map((name) => numbers.metrics[name] ?? Number.NaN);
  const variances =
    shape.intervals === true ? shape.metrics.map((name) => numbers.variances?.[name] ?? Number.NaN) : [];
  if (count === 0 || [...values, ...variances].some(Number.isNaN)) return [];
  return [
    count,
    ...values.map((value) => count * clamp(value, -VALUE_BOUND, VALUE_BOUND)),
    ...variances.map((variance) => count * count * clamp(variance, 0, VALUE_BOUND)),
  ];
}

/** All of an update vector at once, for models whose delta fits in memory twice. Throws as its parts do. */
export function encodeUpdate(
  delta: Float32Array,
  numbers: UpdateNumbers,
  shape: TailShape,
  bounds: UpdateBounds,
): Float32Array {
  const tail = updateTail(numbers, shape, bounds.weightCap);
  const factor = deltaFactor(Math.sqrt(squaredNorm(delta)), numbers.trainExamples, bounds);
  const vector = new Float32Array(delta.length + tail.length);
  vector.set(delta);
  scaleDelta(vector.subarray(0, delta.length), factor);
  vector.set(tail, delta.length);
  return vector;
}

function requireCount(value: number, least: number, field: string): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new TributaryError('INVALID_ARGUMENT', `${field}: an integer of at least ${String(least)}`, {
    fields: { field },
  });
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
