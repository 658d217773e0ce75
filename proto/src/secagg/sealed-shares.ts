import { createCipheriv, createDecipheriv } from 'node:crypto';

import { encodeBase64, requireLength } from '../byte-text.js';
import type { Digest } from '../ids.js';
import { x25519Shared } from '../sealing/x25519.js';
import { deriveKey } from './mask-keys.js';
import { roundFields, type SecureRound } from './secure-round.js';
import { SHARE_BYTES, shareHash } from './shamir.js';

const TAG_BYTES = 16;

/** Bytes of both shares of a dealer for one holder, sealed. */
export const SEALED_SHARES_BYTES = 2 * SHARE_BYTES + TAG_BYTES;

/** Both shares that a dealer gives to one holder. */
export interface SharePair {
  readonly keyShare: Uint8Array;
  readonly seedShare: Uint8Array;
}

/** Hashes of the two, as the dealer signs them. */
export interface SharePairHashes {
  readonly keyHash: Uint8Array;
  readonly seedHash: Uint8Array;
}

/** Whose shares travel to whom, in which round. */
export interface ShareRoute {
  readonly round: SecureRound;
  readonly rosterDigest: Digest;
  readonly sender: string;
  readonly receiver: string;
}

/** The hashes of both shares. */
export function sharePairHashes({ keyShare, seedShare }: SharePair): SharePairHashes {
  return { keyHash: shareHash('key', keyShare), seedHash: shareHash('seed', seedShare) };
}

/**
 * Seals both shares for their holder: AES-256-GCM under HKDF(X25519 of the two seal keys; round, stage, sender, receiver,
 * and the hashes of these very shares). A key therefore belongs to one plaintext, whatever happens to the sender, and its
 * nonce may be constant.
 */
export function sealShares(
  route: ShareRoute,
  shares: SharePair,
  sealSecret: Uint8Array,
  receiverSealKey: Uint8Array,
): Uint8Array {
  const key = routeKey(route, sharePairHashes(shares), sealSecret, receiverSealKey);
  const cipher = createCipheriv('aes-256-gcm', key, NONCE, { authTagLength: TAG_BYTES });
  const sealed = [cipher.update(shares.keyShare), cipher.update(shares.seedShare), cipher.final()];
  return new Uint8Array(Buffer.concat([...sealed, cipher.getAuthTag()]));
}

/** Opens them, or undefined where they were sealed for another route or altered, or are not what the hashes say. */
export function openShares(
  route: ShareRoute,
  sealed: Uint8Array,
  hashes: SharePairHashes,
  sealSecret: Uint8Array,
  senderSealKey: Uint8Array,
): SharePair | undefined {
  requireLength(sealed, SEALED_SHARES_BYTES, 'sealed shares');
  const key = routeKey(route, hashes, sealSecret, senderSealKey);
  const decipher = createDecipheriv('aes-256-gcm', key, NONCE, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const plaintext = new Uint8Array(decipher.update(sealed.subarray(0, -TAG_BYTES)));
  try {
    // What update() gave is not verified before this.
    decipher.final();
  } catch {
    return undefined;
  }
  const shares = { keyShare: plaintext.slice(0, SHARE_BYTES), seedShare: plaintext.slice(SHARE_BYTES) };
  const found = sharePairHashes(shares);
  const same =
    Buffer.compare(found.keyHash, hashes.keyHash) === 0 &&
    Buffer.compare(found.seedHash, hashes.seedHash) === 0;
  return same ? shares : undefined;
}

const NONCE = new Uint8Array(12);

function routeKey(
  { round, rosterDigest, sender, receiver }: ShareRoute,
  { keyHash, seedHash }: SharePairHashes,
  secret: Uint8Array,
  publicKey: Uint8Array,
): Uint8Array {
  const shared = x25519Shared(publicKey, secret);
  const key = deriveKey(shared, 'secagg-sealed-shares', {
    ...roundFields(round),
    stage: 'share',
    rosterDigest,
    sender,
    receiver,
    hashes: [encodeBase64(keyHash), encodeBase64(seedHash)],
  });
  shared.fill(0);
  return key;
}
