import { createHash } from 'node:crypto';

import { encodeHex } from '../byte-text.js';
import { requireDigest, type Digest } from '../ids.js';

/** SHA-256 (FIPS 180-4) over the concatenation of `parts`: 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** Digest of the concatenation of `parts`: the name of content in documents, entries and stores. */
export function digestOf(...parts: readonly Uint8Array[]): Digest {
  return digestFromHash(sha256(...parts));
}

/** The text form of a 32-byte SHA-256. */
export function digestFromHash(hash: Uint8Array): Digest {
  return requireDigest(`sha256:${encodeHex(hash)}`, 'hash');
}

/** A digest of content that arrives in pieces. */
export interface DigestStream {
  update(bytes: Uint8Array): void;
  /** Ends the stream. */
  digest(): Digest;
}

export function startDigest(): DigestStream {
  const hash = createHash('sha256');
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    digest: () => digestFromHash(hash.digest()),
  };
}
