import { defaultKernel } from '../accumulator/kernels.js';
import { RANGE_TOLERANCE } from '../accumulator/accumulator.js';
import { TributaryError } from '../errors/tributary-error.js';
import { Keystream, MaskStream, type Mask } from './mask-stream.js';
import { PIECE_WORDS, type RingKernel, type RingPiece } from './ring-kernel.js';
import { defaultRingKernel } from './ring-kernels.js';
import {
  CONTROL_WORDS,
  HEAD_WORDS,
  requireRingShape,
  ringLength,
  TAIL_BOUND,
  WORD_BYTES,
  type RingScale,
  type RingShape,
} from './ring-shape.js';
import { LIMBS, limbsOf } from './tail-limbs.js';
import { wordsToBytes } from './ring-words.js';

/** The randomness that parameters are rounded with. */
export interface Rounding {
  /** 32 random bytes, secret, fresh for each vector. */
  readonly seed: Uint8Array;
}

export interface RingEncoderOptions {
  readonly shape: RingShape;
  readonly scale: RingScale;
  readonly rounding: Rounding;
  /** Empty gives the plain words: for tests and sums in the clear. */
  readonly masks: readonly Mask[];
  readonly kernel?: RingKernel;
}

/**
 * Turns an update into masked words as it comes, holding one piece: first the delta, weighted and clipped, then once the
 * tail. One instance makes one vector; its masks are used up.
 */
export class RingEncoder {
  readonly #shape: RingShape;
  readonly #quantiser: Quantiser;
  readonly #masks: MaskStream;
  readonly #piece: RingPiece;
  #done = 0;

  constructor({ shape, scale, rounding, masks, kernel = defaultRingKernel }: RingEncoderOptions) {
    requireRingShape(shape);
    this.#shape = shape;
    this.#quantiser = new Quantiser(scale, rounding);
    this.#masks = new MaskStream(masks);
    this.#piece = kernel.piece();
  }

  /**
   * The masked words of the next parameters as little-endian bytes. Throws UPDATE_NOT_FINITE, UPDATE_OUT_OF_RANGE for a
   * magnitude above clipNorm, UPDATE_WRONG_SHAPE for more parameters than the shape has. Nothing is sent after an error.
   * The bytes lie in the memory of `into`, which is long enough, where it is given: fresh memory costs as much as a mask.
   */
  push(values: Float32Array, into = new Uint8Array(values.length * WORD_BYTES)): Uint8Array {
    if (this.#done + values.length > this.#shape.parameters) throw this.#wrongShape('more');
    const bytes = into.subarray(0, values.length * WORD_BYTES);
    for (let start = 0; start < values.length; start += PIECE_WORDS) {
      const part = values.subarray(start, start + PIECE_WORDS);
      this.#quantiser.quantise(part, this.#piece);
      this.#emit(part.length, bytes.subarray(start * WORD_BYTES));
    }
    this.#done += values.length;
    return bytes;
  }

  /** The rest of the vector, after the last parameter. Throws as {@link push}. */
  finish(tail: Float32Array, clipped: boolean): Uint8Array {
    if (this.#done !== this.#shape.parameters || tail.length !== this.#shape.tail)
      throw this.#wrongShape('fewer');
    requireTail(tail);
    const words = new Uint32Array(HEAD_WORDS + LIMBS * tail.length);
    words[0] = clipped ? 1 : 0;
    words.fill(1, 1, 1 + CONTROL_WORDS);
    for (const [index, value] of tail.entries()) words.set(limbsOf(value), HEAD_WORDS + index * LIMBS);
    const bytes = new Uint8Array(words.byteLength);
    for (let start = 0; start < words.length; start += PIECE_WORDS) {
      const part = words.subarray(start, start + PIECE_WORDS);
      this.#piece.words.set(part);
      this.#emit(part.length, bytes.subarray(start * WORD_BYTES));
    }
    this.#done = ringLength(this.#shape);
    return bytes;
  }

  #emit(count: number, into: Uint8Array): void {
    this.#masks.apply(this.#piece, count);
    into.set(wordsToBytes(this.#piece.words.subarray(0, count)));
  }

  #wrongShape(which: string): TributaryError {
    const { parameters, tail } = this.#shape;
    return new TributaryError(
      'UPDATE_WRONG_SHAPE',
      `the update has ${which} than ${String(parameters)} parameters and ${String(tail)} figures`,
    );
  }
}

/** Rounds the parameters of one vector in order. */
class Quantiser {
  readonly #scale: RingScale;
  readonly #random: Keystream;

  constructor(scale: RingScale, { seed }: Rounding) {
    this.#scale = scale;
    this.#random = new Keystream(seed);
  }

  /** The words of the next values, at most a piece of them. */
  quantise(values: Float32Array, piece: RingPiece): void {
    const { scale, most, clipNorm } = this.#scale;
    const largest = defaultKernel.check(values).most;
    if (!Number.isFinite(largest))
      throw new TributaryError('UPDATE_NOT_FINITE', 'the update holds NaN or an infinity');
    // Within the tolerance the kernel clamps to clipNorm: float32 rounds on the way here.
    if (largest > clipNorm * (1 + RANGE_TOLERANCE))
      throw new TributaryError('UPDATE_OUT_OF_RANGE', 'a value is larger than the clipping norm allows');
    piece.quantise(values, this.#random.next(values.length * WORD_BYTES), scale, most);
  }
}

/** Sum of the squares of words as int32, in float64. */
export function squaredSteps(words: Uint32Array): number {
  let sum = 0;
  for (let index = 0; index < words.length; index += 1) {
    const steps = (words[index] ?? 0) | 0;
    sum += steps * steps;
  }
  return sum;
}

function requireTail(tail: Float32Array): void {
  const { most } = defaultKernel.check(tail);
  if (!Number.isFinite(most))
    throw new TributaryError('UPDATE_NOT_FINITE', 'a figure of the update is NaN or infinite');
  if (most > TAIL_BOUND)
    throw new TributaryError('UPDATE_OUT_OF_RANGE', 'a figure of the update is beyond its bounds');
}
