import { TributaryError } from '../errors/tributary-error.js';
import { MaskStream, type Mask } from './mask-stream.js';
import { squaredSteps } from './ring-encoder.js';
import { PIECE_WORDS, type RingKernel, type RingPiece } from './ring-kernel.js';
import { defaultRingKernel } from './ring-kernels.js';
import {
  CONTROL_WORDS,
  HEAD_WORDS,
  mostWord,
  requireRingShape,
  ringLength,
  WORD_BYTES,
  type RingScale,
  type RingShape,
} from './ring-shape.js';
import { LIMBS, sumOfLimbs } from './tail-limbs.js';

/** Norms are rounded several times between the two sides. */
const NORM_TOLERANCE = 1e-5;

/**
 * The sum of masked vectors modulo 2^32. Addition does not depend on order, so arrival, replicas and crashes cannot change
 * a bit of it. Memory is 4 bytes per word, whatever the number of vectors.
 */
export class RingSum {
  readonly shape: RingShape;
  /** The sum as it is: what a checkpoint holds. */
  readonly words: Uint32Array;
  readonly #piece: RingPiece;

  constructor(shape: RingShape, kernel: RingKernel = defaultRingKernel) {
    requireRingShape(shape);
    this.shape = shape;
    this.words = new Uint32Array(ringLength(shape));
    this.#piece = kernel.piece();
  }

  /** Adds a part of a vector, little-endian words, from word `offset` on. Throws UPDATE_WRONG_SHAPE beyond the end. */
  add(offset: number, bytes: Uint8Array): void {
    const count = bytes.length / WORD_BYTES;
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + count > this.words.length)
      throw this.#outside(offset, count);
    if (!Number.isInteger(count)) throw this.#outside(offset, count);
    for (let start = 0; start < count; start += PIECE_WORDS) {
      const part = this.words.subarray(offset + start, offset + Math.min(count, start + PIECE_WORDS));
      this.#piece.words.set(part);
      this.#piece.add(bytes.subarray(start * WORD_BYTES, (start + part.length) * WORD_BYTES));
      part.set(this.#piece.words.subarray(0, part.length));
    }
  }

  /** Applies masks to the whole sum: those of `recoverMasks`, once. */
  unmask(masks: readonly Mask[]): void {
    const stream = new MaskStream(masks);
    for (let start = 0; start < this.words.length; start += PIECE_WORDS) {
      const part = this.words.subarray(start, start + PIECE_WORDS);
      this.#piece.words.set(part);
      stream.apply(this.#piece, part.length);
      part.set(this.#piece.words.subarray(0, part.length));
    }
  }

  /**
   * Reads the unmasked sum of `sites` vectors. Throws SECAGG_SUM_INVALID where it cannot be one: the control words do
   * not add up to the number of sites (a mask did not cancel: somebody used another base model, cohort or key), a word is
   * beyond what the sites can reach together, or the delta is longer than the sum of weights times clipNorm.
   */
  open(scale: RingScale, sites: number): OpenedSum {
    const { parameters, tail } = this.shape;
    const control = this.words.subarray(parameters + 1, parameters + HEAD_WORDS);
    if (sites < 1 || sites > scale.agents || control.some((word) => word !== sites))
      throw invalid(`the ${String(CONTROL_WORDS)} control words do not count ${String(sites)} sites`);
    const clipped = this.words[parameters] ?? 0;
    if (clipped > sites) throw invalid('more sites clipped their update than there are');
    const figures = this.#figures(tail, sites);
    const delta = this.words.subarray(0, parameters);
    requireRange(delta, sites * mostWord(scale.agents));
    requireNorm(delta, figures[0] ?? 0, scale, sites);
    return {
      sites,
      clipped,
      tail: figures,
      readSums: (offset, into) => readSums(delta.subarray(offset, offset + into.length), into, scale.scale),
    };
  }

  #figures(count: number, sites: number): Float64Array {
    const start = this.shape.parameters + HEAD_WORDS;
    return Float64Array.from({ length: count }, (_, index) => {
      const at = start + index * LIMBS;
      const [low = 0, middle = 0, high = 0] = this.words.subarray(at, at + LIMBS);
      const sum = sumOfLimbs(low, middle, high, sites);
      if (sum === undefined) throw invalid(`figure ${String(index)} of the sum is out of range`);
      return sum;
    });
  }

  #outside(offset: number, count: number): TributaryError {
    return new TributaryError(
      'UPDATE_WRONG_SHAPE',
      `words ${String(offset)} to ${String(offset + count)} of ${String(this.words.length)}`,
    );
  }
}

/** What an unmasked sum says; it shares the memory of its {@link RingSum}. */
export interface OpenedSum {
  readonly sites: number;
  /** Sites whose delta was longer than clipNorm. */
  readonly clipped: number;
  /** Sums of the tails: what `decodeTail` reads. */
  readonly tail: Float64Array;
  /** The sums of `into.length` parameters from `offset` on: what `applyMean` takes. */
  readSums(offset: number, into: Float64Array): void;
}

function readSums(words: Uint32Array, into: Float64Array, scale: number): void {
  for (let index = 0; index < into.length; index += 1) into[index] = ((words[index] ?? 0) | 0) / scale;
}

function requireRange(words: Uint32Array, most: number): void {
  for (let index = 0; index < words.length; index += 1) {
    if (Math.abs((words[index] ?? 0) | 0) > most) throw invalid('a parameter of the sum is out of range');
  }
}

/** No delta is longer than weight times clipNorm, and rounding moves each parameter by less than one step. */
function requireNorm(
  words: Uint32Array,
  weight: number,
  { scale, clipNorm }: RingScale,
  sites: number,
): void {
  const norm = Math.sqrt(squaredSteps(words)) / scale;
  const most = weight * clipNorm * (1 + NORM_TOLERANCE) + (sites * Math.sqrt(words.length)) / scale;
  if (weight > sites * (1 + NORM_TOLERANCE) || norm > most)
    throw invalid('the sum is longer than its weights allow');
}

function invalid(problem: string): TributaryError {
  return new TributaryError('SECAGG_SUM_INVALID', `the unmasked sum is refused: ${problem}`);
}
