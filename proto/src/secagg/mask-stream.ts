import { createCipheriv, type Cipher } from 'node:crypto';

import { requireLength } from '../byte-text.js';
import { defaultRingKernel } from './ring-kernels.js';
import { PIECE_WORDS, type RingKernel, type RingPiece } from './ring-kernel.js';

/** Bytes of a key of a keystream. */
export const STREAM_KEY_BYTES = 32;

const BLOCK_BYTES = 16;
const WORD_BYTES = 4;
const ZEROS = Buffer.alloc(PIECE_WORDS * WORD_BYTES);

/** One mask of a vector: its words are added, or subtracted where the sign is -1. */
export interface Mask {
  /** 32 bytes, of `pairMaskKey` or `selfMaskKey`: a key serves one vector and never another. */
  readonly key: Uint8Array;
  readonly sign: 1 | -1;
}

/**
 * AES-256-CTR over zeros (NIST SP 800-38A) from any byte on: the counter block is uint32 BE `lane`, 4 zero bytes,
 * uint64 BE block. Masks are lane 0.
 */
export class Keystream {
  readonly #cipher: Cipher;

  constructor(key: Uint8Array, offset = 0, lane = 0) {
    const counter = Buffer.alloc(BLOCK_BYTES);
    counter.writeUInt32BE(lane, 0);
    counter.writeBigUInt64BE(BigInt(Math.floor(offset / BLOCK_BYTES)), 8);
    this.#cipher = createCipheriv('aes-256-ctr', requireLength(key, STREAM_KEY_BYTES, 'stream key'), counter);
    this.next(offset % BLOCK_BYTES);
  }

  /** The next bytes, at most 64 KiB. */
  next(count: number): Uint8Array {
    return this.#cipher.update(ZEROS.subarray(0, count));
  }
}

/** Several masks, expanded together piece by piece: each word of a vector is touched once, whatever their number. */
export class MaskStream {
  readonly #streams: readonly { readonly stream: Keystream; readonly sign: 1 | -1 }[];

  /** From word `offset` of the vector on. */
  constructor(masks: readonly Mask[], offset = 0) {
    this.#streams = masks.map(({ key, sign }) => ({ stream: new Keystream(key, offset * WORD_BYTES), sign }));
  }

  /** Applies the next `count` words of every mask to the first words of `piece`. */
  apply(piece: RingPiece, count: number): void {
    for (const { stream, sign } of this.#streams) {
      const words = stream.next(count * WORD_BYTES);
      if (sign === 1) piece.add(words);
      else piece.subtract(words);
    }
  }
}

/** Applies masks in place to `words`, which are those from `offset` of a vector on. */
export function addMasks(
  words: Uint32Array,
  offset: number,
  masks: readonly Mask[],
  kernel: RingKernel = defaultRingKernel,
): void {
  const stream = new MaskStream(masks, offset);
  const piece = kernel.piece();
  for (let start = 0; start < words.length; start += PIECE_WORDS) {
    const part = words.subarray(start, start + PIECE_WORDS);
    piece.words.set(part);
    stream.apply(piece, part.length);
    part.set(piece.words.subarray(0, part.length));
  }
}
