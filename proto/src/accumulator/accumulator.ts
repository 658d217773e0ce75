import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { SEGMENT_LENGTH, type Kernel, type Segment } from './kernel.js';
import { defaultKernel } from './kernels.js';

/** Bits of an accumulated value: LIMITS.updatesPerRound values of this size add up to less than 2^63. */
const VALUE_BITS = 50;

/** Magnitudes may exceed the range by this part: float32 rounds, and so does a norm. */
export const RANGE_TOLERANCE = 1e-6;

/** Binary digits after the point that leave room for values up to `range`: 50 - ceil(log2(range)). */
export function scaleBitsFor(range: number): number {
  let exponent = 0;
  while (2 ** exponent < range) exponent += 1;
  while (2 ** (exponent - 1) >= range) exponent -= 1;
  return VALUE_BITS - exponent;
}

export interface AccumulatorOptions {
  /** Elements of an update vector: at most LIMITS.modelParameters and the tail. */
  readonly length: number;
  /** Largest magnitude of an element, above 0: `updateRange` of the job. */
  readonly range: number;
  /** Given by tests; otherwise the fastest of the machine. */
  readonly kernel?: Kernel;
  /** Elements of one memory. Given by tests, to cross its border with little; otherwise SEGMENT_LENGTH. */
  readonly segmentLength?: number;
}

/**
 * The sum of update vectors in fixed point: each element is rint(x * 2^s) in an int64. Integer addition does not depend
 * on order, so arrival, replicas, crashes and subtraction cannot change a bit of the result. Memory is 8 bytes per
 * element, whatever the number of updates.
 *
 * It adds what it is given: values are checked before an update is accepted (`UpdateCheck`), never while it is folded.
 */
export class Accumulator {
  readonly length: number;
  readonly scaleBits: number;
  readonly #segments: readonly Segment[];
  readonly #segmentLength: number;
  #elements = 0;

  constructor({ length, range, kernel = defaultKernel, segmentLength = SEGMENT_LENGTH }: AccumulatorOptions) {
    if (
      !Number.isSafeInteger(length) ||
      length < 1 ||
      length > LIMITS.modelParameters + LIMITS.tailElements
    ) {
      throw new TributaryError(
        'LIMIT_EXCEEDED',
        `an update vector has 1 to ${String(LIMITS.modelParameters)} parameters`,
      );
    }
    if (!Number.isFinite(range) || range <= 0)
      throw new TributaryError('INVALID_ARGUMENT', 'range: a finite number above 0');
    this.length = length;
    this.scaleBits = scaleBitsFor(range);
    this.#segmentLength = segmentLength;
    this.#segments = Array.from({ length: Math.ceil(length / segmentLength) }, (_, index) =>
      kernel.segment(Math.min(segmentLength, length - index * segmentLength)),
    );
  }

  /** Elements folded and not taken back; `length` times the number of updates between updates. */
  get elements(): number {
    return this.#elements;
  }

  /** Adds `values` to the elements from `offset` on. Throws LIMIT_EXCEEDED beyond LIMITS.updatesPerRound updates. */
  fold(offset: number, values: Float32Array): void {
    if (this.#elements + values.length > LIMITS.updatesPerRound * this.length) {
      throw new TributaryError(
        'LIMIT_EXCEEDED',
        `at most ${String(LIMITS.updatesPerRound)} updates are added in a round`,
      );
    }
    this.#add(offset, values, 2 ** this.scaleBits);
    this.#elements += values.length;
  }

  /** Takes back exactly what {@link fold} of the same arguments added. */
  unfold(offset: number, values: Float32Array): void {
    this.#add(offset, values, -(2 ** this.scaleBits));
    this.#elements -= values.length;
  }

  /** The sums of `into.length` elements from `offset` on, each rounded once to float64. */
  readSums(offset: number, into: Float64Array): void {
    for (const { segment, start, from, to } of this.#parts(offset, into.length)) {
      segment.read(start, into.subarray(from, to), 2 ** -this.scaleBits);
    }
  }

  /** All sums: 8 bytes per element more. Large models read them part by part. */
  toSums(): Float64Array {
    const sums = new Float64Array(this.length);
    this.readSums(0, sums);
    return sums;
  }

  /** Back to zero, for the next round of the same job: touching fresh memory costs more than clearing it. */
  reset(): void {
    for (const segment of this.#segments) segment.sums.fill(0n);
    this.#elements = 0;
  }

  /** The raw int64 sums of each segment in order: what a checkpoint holds. Views, not copies. */
  rawSums(): readonly BigInt64Array[] {
    return this.#segments.map((segment) => segment.sums);
  }

  /** Declares the raw sums to hold `elements` folded elements, after they were filled from a checkpoint. */
  resume(elements: number): void {
    this.#elements = elements;
  }

  #add(offset: number, values: Float32Array, scale: number): void {
    for (const { segment, start, from, to } of this.#parts(offset, values.length)) {
      segment.fold(start, values.subarray(from, to), scale);
    }
  }

  /** The parts of elements `offset` to `offset + count` in each segment that holds some. */
  *#parts(offset: number, count: number): Generator<Part> {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + count > this.length) {
      throw new TributaryError(
        'UPDATE_WRONG_SHAPE',
        `elements ${String(offset)} to ${String(offset + count)} of ${String(this.length)}`,
      );
    }
    for (let done = 0; done < count;) {
      const index = Math.floor((offset + done) / this.#segmentLength);
      const start = (offset + done) % this.#segmentLength;
      const to = Math.min(count, done + this.#segmentLength - start);
      const segment = this.#segments[index];
      if (segment === undefined) return;
      yield { segment, start, from: done, to };
      done = to;
    }
  }
}

interface Part {
  readonly segment: Segment;
  /** First element in the segment. */
  readonly start: number;
  /** First and end element of the caller's values. */
  readonly from: number;
  readonly to: number;
}
