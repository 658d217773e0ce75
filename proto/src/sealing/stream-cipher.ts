import { createCipheriv, createDecipheriv } from 'node:crypto';

import { requireLength } from '../byte-text.js';

/** Bytes of the parts of a {@link StreamCipher}. */
export const STREAM = Object.freeze({ keyBytes: 32, prefixBytes: 7, tagBytes: 16 });

/** Sealed at a time: the cipher's own result then stays in the cache until it is copied. */
const PIECE_BYTES = 131_072;

/** Chunks of one stream: the counter has 32 bits. */
const MOST_CHUNKS = 2 ** 32;

/**
 * AES-256-GCM over chunks in the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár, "Online
 * Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015): nonce = 7-byte prefix || uint32 BE
 * index || last flag. A chunk opens only at its own place, and the end only where it is the end. Key and prefix together
 * must never serve a second stream.
 */
export class StreamCipher {
  readonly #key: Uint8Array;
  readonly #prefix: Uint8Array;
  readonly #associated: Uint8Array;

  /** `associated` data is authenticated with each chunk. */
  constructor(key: Uint8Array, prefix: Uint8Array, associated: Uint8Array) {
    this.#key = requireLength(key, STREAM.keyBytes, 'key');
    this.#prefix = requireLength(prefix, STREAM.prefixBytes, 'prefix');
    this.#associated = associated;
  }

  /**
   * Ciphertext of chunk `index`, followed by its 16-byte tag; in the memory of `into`, which is long enough, where it is
   * given.
   */
  seal(
    index: number,
    last: boolean,
    plaintext: Uint8Array,
    into: Uint8Array = Buffer.allocUnsafeSlow(plaintext.length + STREAM.tagBytes),
  ): Uint8Array {
    const cipher = createCipheriv('aes-256-gcm', this.#key, this.#nonce(index, last), {
      authTagLength: STREAM.tagBytes,
    });
    cipher.setAAD(this.#associated);
    const sealed = into.subarray(0, plaintext.length + STREAM.tagBytes);
    for (let at = 0; at < plaintext.length; at += PIECE_BYTES)
      sealed.set(cipher.update(plaintext.subarray(at, at + PIECE_BYTES)), at);
    cipher.final();
    sealed.set(cipher.getAuthTag(), plaintext.length);
    return sealed;
  }

  /** Plaintext of chunk `index`, or undefined where the chunk does not belong there unaltered. */
  open(index: number, last: boolean, sealed: Uint8Array): Uint8Array | undefined {
    const length = sealed.length - STREAM.tagBytes;
    if (length < 0 || index >= MOST_CHUNKS) return undefined;
    // Without authTagLength Node takes a tag of four bytes.
    const decipher = createDecipheriv('aes-256-gcm', this.#key, this.#nonce(index, last), {
      authTagLength: STREAM.tagBytes,
    });
    decipher.setAAD(this.#associated);
    decipher.setAuthTag(sealed.subarray(length));
    const plaintext = decipher.update(sealed.subarray(0, length));
    try {
      // What update() gave is not verified before this.
      decipher.final();
    } catch {
      return undefined;
    }
    return plaintext;
  }

  #nonce(index: number, last: boolean): Uint8Array {
    if (index >= MOST_CHUNKS) throw new RangeError('a stream has at most 2^32 chunks');
    const nonce = new Uint8Array(STREAM.prefixBytes + 5);
    nonce.set(this.#prefix);
    new DataView(nonce.buffer).setUint32(STREAM.prefixBytes, index);
    nonce[STREAM.prefixBytes + 4] = last ? 1 : 0;
    return nonce;
  }
}
