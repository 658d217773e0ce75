import { createCipheriv, type Cipher } from 'node:crypto';

import { requireLength } from '../byte-text.js';
import { PIECE_WORDS, type RingPiece } from './ring-kernel.js';

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
 * AES-256-CTR over zeros (NIST SP 800-38A) from any byte on: the counter block is 8 zero bytes and uint64 BE block.
 */
export class Keystream {
  readonly #cipher: Cipher;

  constructor(key: Uint8Array, offset = 0) {
    const counter = Buffer.alloc(BLOCK_BYTES);
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
