import { decodeBase64 } from '../byte-text.js';
import { TributaryError } from '../errors/tributary-error.js';
import { STREAM, StreamCipher } from '../sealing/stream-cipher.js';
import { sha256 } from '../signing/hash.js';
import { decodeEnvelopeHeader, plaintextBytesOf, type EnvelopeHeader } from './header.js';
import { openContentKey } from './round-key.js';

/**
 * Opens the chunks of one envelope, in any order and as often as needed: at reception to check them, later to fold
 * them. Signatures are checked apart, with `verifyEnvelopeHeader` before and `verifyEnvelopeSeal` after.
 */
export class EnvelopeOpener {
  readonly header: EnvelopeHeader;
  readonly #cipher: StreamCipher;

  /** Throws as `decodeEnvelopeHeader`, and UPDATE_CORRUPT where the content key was not sealed to this round. */
  constructor(headerBytes: Uint8Array, roundSecret: Uint8Array) {
    this.header = decodeEnvelopeHeader(headerBytes);
    const { sealedKey, keyNonce, ephemeralKey, noncePrefix } = this.header;
    const contentKey = openContentKey(
      decodeBase64(sealedKey, 'sealedKey'),
      decodeBase64(keyNonce, 'keyNonce'),
      decodeBase64(ephemeralKey, 'ephemeralKey'),
      roundSecret,
    );
    if (contentKey === undefined)
      throw new TributaryError('UPDATE_CORRUPT', 'the content key is not sealed to this round');
    this.#cipher = new StreamCipher(
      contentKey,
      decodeBase64(noncePrefix, 'noncePrefix'),
      sha256(headerBytes),
    );
  }

  /** Bytes of chunk `index` on the wire, ciphertext and tag. */
  chunkBytes(index: number): number {
    return plaintextBytesOf(this.header, index) + STREAM.tagBytes;
  }

  /**
   * Verified plaintext of chunk `index`. Throws UPDATE_TOO_LARGE for an index or length beyond the header's,
   * UPDATE_CORRUPT for a chunk that is short, altered, or from another place or envelope.
   */
  open(index: number, chunk: Uint8Array): Uint8Array {
    const { chunkCount } = this.header;
    if (!Number.isInteger(index) || index < 0 || index >= chunkCount) {
      throw new TributaryError('UPDATE_TOO_LARGE', `the envelope has ${String(chunkCount)} chunks`);
    }
    if (chunk.length > this.chunkBytes(index))
      throw new TributaryError('UPDATE_TOO_LARGE', `chunk ${String(index)} is too long`);
    const plaintext =
      chunk.length === this.chunkBytes(index)
        ? this.#cipher.open(index, index === chunkCount - 1, chunk)
        : undefined;
    if (plaintext === undefined)
      throw new TributaryError('UPDATE_CORRUPT', `chunk ${String(index)} does not verify`);
    return plaintext;
  }
}
