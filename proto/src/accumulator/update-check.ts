import { TributaryError } from '../errors/tributary-error.js';
import { tailLength, updateRange, VALUE_BOUND, type UpdateShape } from '../parameters/update-vector.js';
import { RANGE_TOLERANCE } from './accumulator.js';
import type { Kernel } from './kernel.js';
import { defaultKernel } from './kernels.js';

/** A norm and a product are rounded several times between the two sides. */
const NORM_TOLERANCE = 1e-5;

/**
 * Checks one update vector, chunk after chunk, before it is accepted: nothing that can still fail is folded. Where
 * updates arrive unmasked it also holds the sender to its own tail: weights of at most 1, and a delta no longer than
 * weight * clipNorm. One instance per upload.
 */
export class UpdateCheck {
  readonly #parameters: number;
  readonly #range: number;
  readonly #clipNorm: number;
  readonly #tail: Float32Array;
  readonly #kernel: Kernel;
  #elements = 0;
  #squares = 0;

  constructor(shape: UpdateShape, bounds: { readonly clipNorm: number }, kernel: Kernel = defaultKernel) {
    this.#parameters = shape.parameters;
    this.#range = updateRange(bounds) * (1 + RANGE_TOLERANCE);
    this.#clipNorm = bounds.clipNorm;
    this.#tail = new Float32Array(tailLength(shape.metrics));
    this.#kernel = kernel;
  }

  /**
   * Takes the next values. Throws UPDATE_NOT_FINITE, UPDATE_OUT_OF_RANGE, or UPDATE_WRONG_SHAPE where there are more
   * than the job's vector has.
   */
  push(values: Float32Array): void {
    const start = this.#elements;
    if (start + values.length > this.#parameters + this.#tail.length) throw this.#wrongLength('more');
    const inDelta = Math.max(0, Math.min(values.length, this.#parameters - start));
    const delta = this.#kernel.check(values.subarray(0, inDelta));
    const rest = values.subarray(inDelta);
    requireRange(Math.max(delta.most, this.#kernel.check(rest).most), this.#range);
    this.#squares += delta.squares;
    if (rest.length > 0) this.#tail.set(rest, start + inDelta - this.#parameters);
    this.#elements += values.length;
  }

  /** After the last values: throws UPDATE_WRONG_SHAPE where some are missing, UPDATE_OUT_OF_RANGE for an impossible tail. */
  finish(): void {
    if (this.#elements !== this.#parameters + this.#tail.length) throw this.#wrongLength('fewer');
    requireTail(this.#tail);
    if (Math.sqrt(this.#squares) > (this.#tail[0] ?? 0) * this.#clipNorm * (1 + NORM_TOLERANCE)) {
      throw outOfRange('the delta is longer than weight times clipNorm');
    }
  }

  #wrongLength(which: string): TributaryError {
    const expected = this.#parameters + this.#tail.length;
    return new TributaryError(
      'UPDATE_WRONG_SHAPE',
      `the update has ${which} than ${String(expected)} elements`,
    );
  }
}

function requireRange(most: number, range: number): void {
  if (!Number.isFinite(most))
    throw new TributaryError('UPDATE_NOT_FINITE', 'the update holds NaN or an infinity');
  if (most > range) throw outOfRange('a value is larger than the clipping norm allows');
}

/** A sender may not claim more weight, loss or metrics than an honest one could have. */
function requireTail([weight = 0, loss = 0, count = 0, ...metrics]: Float32Array): void {
  const most = VALUE_BOUND * (1 + NORM_TOLERANCE);
  if (!(weight > 0) || weight > 1) throw outOfRange('the weight is not above 0 and at most 1');
  if (count < 0 || count > 1) throw outOfRange('the count is not between 0 and 1');
  if (loss < 0 || loss > weight * most) throw outOfRange('the loss is beyond its bounds');
  if (metrics.some((value) => Math.abs(value) > count * most))
    throw outOfRange('a metric is beyond its bounds');
}

function outOfRange(problem: string): TributaryError {
  return new TributaryError('UPDATE_OUT_OF_RANGE', problem);
}
