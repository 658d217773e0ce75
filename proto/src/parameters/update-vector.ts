import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';

/*
 * The vector that a site sends for a round, in float32:
 *   [ w * d_0 .. w * d_(P-1),  w,  w * loss,  c,  c * m_1 .. c * m_k ]
 * d is the delta to the base model, clipped to the L2 norm clipNorm; w = min(train examples, cap) / cap and
 * c = min(test examples, cap) / cap. Everything that is averaged is inside, so that secure aggregation hides it too.
 */

/** Elements of the tail before the metrics: weight, loss, count. */
const TAIL_FIXED = 3;

/** Losses are clamped to [0, VALUE_BOUND], metrics to [-VALUE_BOUND, VALUE_BOUND]. */
export const VALUE_BOUND = 64;

/** Parameters and metrics of the vectors of a job. */
export interface UpdateShape {
  /** P: elements of the delta. */
  readonly parameters: number;
  /** Names of the metrics in the order of the job. */
  readonly metrics: readonly string[];
}

/** Limits of a job on what one site contributes. */
export interface UpdateBounds {
  /** Largest L2 norm of a delta, above 0. */
  readonly clipNorm: number;
  /** Examples from which on a site's weight is 1. */
  readonly weightCap: number;
}

/** What training and evaluation at one site gave. */
export interface UpdateNumbers {
  /** Rows trained on, at least 1. */
  readonly trainExamples: number;
  /** Mean training loss. */
  readonly loss: number;
  /** Rows of the test split; 0 where there is none. */
  readonly testExamples: number;
  /** By the names of the shape; NaN where a metric is undefined at the site, such as AUC of one class. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Elements of the tail; throws LIMIT_EXCEEDED for more than LIMITS.tailElements. */
export function tailLength(metrics: readonly string[]): number {
  const length = TAIL_FIXED + metrics.length;
  if (length > LIMITS.tailElements) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `a job has at most ${String(LIMITS.tailElements - TAIL_FIXED)} metrics`,
    );
  }
  return length;
}

/** Elements of the whole vector: `vectorLength` of ledger entries and envelopes. */
export function vectorLength(shape: UpdateShape): number {
  return shape.parameters + tailLength(shape.metrics);
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
 * The tail of a vector. A site with an undefined metric counts as one without test rows: its part would otherwise pull
 * the mean towards 0. Throws TRAINING_DIVERGED for a loss that is not finite, INVALID_ARGUMENT for impossible counts.
 */
export function updateTail(
  numbers: UpdateNumbers,
  metrics: readonly string[],
  weightCap: number,
): Float32Array {
  if (!Number.isFinite(numbers.loss))
    throw new TributaryError('TRAINING_DIVERGED', 'the training loss is not finite');
  requireCount(numbers.trainExamples, 1, 'trainExamples');
  requireCount(numbers.testExamples, 0, 'testExamples');
  const values = metrics.map((name) => numbers.metrics[name] ?? Number.NaN);
  const weight = exampleWeight(numbers.trainExamples, weightCap);
  const count = values.some(Number.isNaN) ? 0 : exampleWeight(numbers.testExamples, weightCap);
  const tail = new Float32Array(tailLength(metrics));
  tail.set([weight, weight * clamp(numbers.loss, 0, VALUE_BOUND), count]);
  if (count > 0)
    tail.set(
      values.map((value) => count * clamp(value, -VALUE_BOUND, VALUE_BOUND)),
      TAIL_FIXED,
    );
  return tail;
}

/** All of an update vector at once, for models whose delta fits in memory twice. Throws as its parts do. */
export function encodeUpdate(
  delta: Float32Array,
  numbers: UpdateNumbers,
  metrics: readonly string[],
  bounds: UpdateBounds,
): Float32Array {
  const tail = updateTail(numbers, metrics, bounds.weightCap);
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
