import { combine, split } from 'shamir-secret-sharing';

import { requireLength } from '../byte-text.js';
import { sha256 } from '../signing/hash.js';
import { SEED_BYTES } from './mask-keys.js';

/** Bytes of a share: as many as the secret has, and the place where its polynomials were evaluated. */
export const SHARE_BYTES = SEED_BYTES + 1;

/** Which secret a share belongs to: the mask key of an agent, or the seed of its self mask. */
export type ShareKind = 'key' | 'seed';

/**
 * Shares of a 32-byte secret (Shamir, CACM 1979) over GF(256): any `threshold` of `count` recover it, fewer say nothing.
 * 2 <= threshold <= count <= 255. The polynomials and the places of the shares are drawn by the library, which takes no
 * randomness from outside: dealing the same secret again gives other shares.
 */
export async function dealShares(
  secret: Uint8Array,
  count: number,
  threshold: number,
): Promise<readonly Uint8Array[]> {
  // The library takes nothing but a plain Uint8Array.
  return split(new Uint8Array(requireLength(secret, SEED_BYTES, 'secret')), count, threshold);
}

/**
 * The secret of `threshold` or more shares. Too few or altered ones give a wrong secret without any sign of it: compare
 * what comes out with what the dealer committed to. Undefined where two shares claim the same place.
 */
export async function combineShares(shares: readonly Uint8Array[]): Promise<Uint8Array | undefined> {
  const places = new Set(shares.map((share) => requireLength(share, SHARE_BYTES, 'share').at(-1)));
  if (places.size < shares.length || places.has(0)) return undefined;
  return combine(shares.map((share) => new Uint8Array(share)));
}

const text = (value: string): Uint8Array => new TextEncoder().encode(`tributary.v1/${value}\0`);

/** What a dealer signs of each share, 32 bytes. A share is as random as a key, so that its hash tells nothing. */
export function shareHash(kind: ShareKind, share: Uint8Array): Uint8Array {
  return sha256(text(`secagg-${kind}-share`), requireLength(share, SHARE_BYTES, 'share'));
}

/** What an agent signs of its seed, 32 bytes. */
export function seedHash(seed: Uint8Array): Uint8Array {
  return sha256(text('secagg-seed'), requireLength(seed, SEED_BYTES, 'seed'));
}
