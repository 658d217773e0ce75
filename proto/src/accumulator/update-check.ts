import { TributaryError } from '../errors/tributary-error.js';
import { groupsOf, type EvaluationGroup, type TailShape } from '../metrics/evaluation-groups.js';
import {
  groupPart,
  tailLength,
  updateRange,
  VALUE_BOUND,
  type UpdateShape,
} from '../parameters/update-vector.js';
import { RANGE_TOLERANCE } from './accumulator.js';
import type { Kernel } from './kernel.js';
import { defaultKernel } from './kernels.js';

/** A norm and a product are rounded several times between the two sides. */
const NORM_TOLERANCE = 1e-5;

/** What one sender may do. */
export interface SenderBounds {
  readonly clipNorm: number;
  /** Its name: where the job holds it out it must not weigh, and it says nothing in the groups of other sites. */
  readonly site?: string;
}

/**
 * Checks one update vector, chunk after chunk, before it is accepted: nothing that can still fail is folded. Where
 * updates arrive unmasked it also holds the sender to its own tail: weights of at most 1, and a delta no longer than
 * weight * clipNorm. One instance per upload.
 */
export class UpdateCheck {
  readonly #shape: UpdateShape;
  readonly #parameters: number;
  readonly #range: number;
  readonly #bounds: SenderBounds;
  readonly #tail: Float32Array;
  readonly #kernel: Kernel;
  #elements = 0;
  #squares = 0;

  constructor(shape: UpdateShape, bounds: SenderBounds, kernel: Kernel = defaultKernel) {
    this.#shape = shape;
    this.#parameters = shape.parameters;
    this.#range = updateRange(bounds) * (1 + RANGE_TOLERANCE);
    this.#bounds = bounds;
    this.#tail = new Float32Array(tailLength(shape));
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
    const { clipNorm, site } = this.#bounds;
    const groups = groupsOf(this.#shape);
    const heldOut = groups.some((group) => group.type === 'HeldOut' && group.site === site);
    requireWeight(this.#tail, heldOut || this.#shape.trains === false);
    for (const [index, group] of groups.entries())
      requireGroup(groupPart(this.#tail, this.#shape, index), this.#shape, isOpenTo(group, site, heldOut));
    if (Math.sqrt(this.#squares) > (this.#tail[0] ?? 0) * clipNorm * (1 + NORM_TOLERANCE)) {
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
const MOST = VALUE_BOUND * (1 + NORM_TOLERANCE);

function requireWeight([weight = 0, loss = 0]: Float32Array, onlyEvaluates: boolean): void {
  if (onlyEvaluates && weight !== 0) throw outOfRange('the site does not train and has a weight');
  if (!onlyEvaluates && (!(weight > 0) || weight > 1))
    throw outOfRange('the weight is not above 0 and at most 1');
  if (loss < 0 || loss > weight * MOST) throw outOfRange('the loss is beyond its bounds');
}

/** Whether a site may report in a group. */
function isOpenTo(group: EvaluationGroup, site: string | undefined, heldOut: boolean): boolean {
  return group.type === 'HeldOut' || group.type === 'Site' ? group.site === site : !heldOut;
}

function requireGroup([count = 0, ...figures]: Float32Array, { metrics }: TailShape, open: boolean): void {
  if (!open && count !== 0) throw outOfRange('the site reports in a group that is not its own');
  if (count < 0 || count > 1) throw outOfRange('the count is not between 0 and 1');
  if (figures.slice(0, metrics.length).some((value) => Math.abs(value) > count * MOST))
    throw outOfRange('a metric is beyond its bounds');
  if (figures.slice(metrics.length).some((value) => value < 0 || value > count * count * MOST))
    throw outOfRange('a variance is beyond its bounds');
}

function outOfRange(problem: string): TributaryError {
  return new TributaryError('UPDATE_OUT_OF_RANGE', problem);
}
