import { createHash, hash, type Hash } from 'node:crypto';

import { encodeHex } from '../byte-text.js';
import { requireDigest, type Digest } from '../ids.js';

/** SHA-256 (FIPS 180-4) over the concatenation of `parts`: 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(hashOf(parts).digest());
}

/** The same as 64 hex digits. One short part, as messages are, costs a third of what a stream of parts does. */
export function sha256Hex(...parts: readonly Uint8Array[]): string {
  const [first] = parts;
  return parts.length === 1 && first !== undefined
    ? hash('sha256', first, 'hex')
    : hashOf(parts).digest('hex');
}

/** Digest of the concatenation of `parts`: the name of content in documents, entries and stores. */
export function digestOf(...parts: readonly Uint8Array[]): Digest {
  return requireDigest(`sha256:${sha256Hex(...parts)}`, 'hash');
}

function hashOf(parts: readonly Uint8Array[]): Hash {
  const started = createHash('sha256');
  for (const part of parts) started.update(part);
  return started;
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
