import { createHash, type Hash } from 'node:crypto';

import { TributaryError } from '../errors/tributary-error.js';
import { STREAM } from '../sealing/stream-cipher.js';
import { requireSignature, type SigningKey } from '../signing/ed25519.js';
import { digestFromHash, digestOf } from '../signing/hash.js';
import { transcript } from '../signing/transcript.js';
import { decodeEnvelopeHeader, type EnvelopeHeader } from './header.js';

/** The end of an envelope: covers header, count and every tag, hence every byte. */
export interface EnvelopeSeal {
  readonly chunkCount: number;
  /** SHA-256 over the tags of all chunks in order, 32 bytes. */
  readonly tagsDigest: Uint8Array;
  /** Ed25519 over the "envelope-seal" transcript. */
  readonly signature: Uint8Array;
}

/** The digest of the tags of an envelope's chunks, as they come. */
export class TagsDigest {
  readonly #hash: Hash = createHash('sha256');
  #count = 0;

  /** Chunks so far. */
  get count(): number {
    return this.#count;
  }

  /** Takes the next chunk, ciphertext and tag. */
  add(chunk: Uint8Array): void {
    this.#hash.update(chunk.subarray(-STREAM.tagBytes));
    this.#count += 1;
  }

  /** SHA-256 of the tags so far; more may be added afterwards. */
  digest(): Uint8Array {
    return new Uint8Array(this.#hash.copy().digest());
  }
}

/** What the identity key signs before the first chunk. */
export function envelopeHeaderTranscript(header: EnvelopeHeader): Uint8Array {
  return transcript('envelope-header', { header });
}

/** Reads a header and verifies its signature. Throws as `decodeEnvelopeHeader`, or SIGNATURE_INVALID. */
export function verifyEnvelopeHeader(
  headerBytes: Uint8Array,
  signature: Uint8Array,
  identityKey: Uint8Array,
): EnvelopeHeader {
  const header = decodeEnvelopeHeader(headerBytes);
  requireSignature(identityKey, envelopeHeaderTranscript(header), signature, 'the envelope header');
  return header;
}

/** Signs the end of an envelope. */
export function signEnvelopeSeal(
  headerBytes: Uint8Array,
  tags: TagsDigest,
  key: Pick<SigningKey, 'sign'>,
): EnvelopeSeal {
  const seal = { chunkCount: tags.count, tagsDigest: tags.digest() };
  return { ...seal, signature: key.sign(sealTranscript(headerBytes, seal)) };
}

/**
 * Verifies the end of an envelope against the chunks that were received. Throws UPDATE_CORRUPT where count or tags
 * differ, SIGNATURE_INVALID where the signature is not the agent's.
 */
export function verifyEnvelopeSeal(
  headerBytes: Uint8Array,
  received: TagsDigest,
  seal: EnvelopeSeal,
  identityKey: Uint8Array,
): void {
  const { chunkCount } = decodeEnvelopeHeader(headerBytes);
  if (seal.chunkCount !== chunkCount || received.count !== chunkCount) {
    throw new TributaryError(
      'UPDATE_CORRUPT',
      `${String(received.count)} of ${String(chunkCount)} chunks at the seal`,
    );
  }
  if (Buffer.compare(seal.tagsDigest, received.digest()) !== 0) {
    throw new TributaryError('UPDATE_CORRUPT', 'the seal is not over the chunks that were received');
  }
  requireSignature(identityKey, sealTranscript(headerBytes, seal), seal.signature, 'the envelope seal');
}

function sealTranscript(
  headerBytes: Uint8Array,
  { chunkCount, tagsDigest }: Omit<EnvelopeSeal, 'signature'>,
): Uint8Array {
  return transcript('envelope-seal', {
    headerDigest: digestOf(headerBytes),
    chunkCount,
    tagsDigest: digestFromHash(tagsDigest),
  });
}
