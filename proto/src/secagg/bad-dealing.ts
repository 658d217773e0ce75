import { z } from 'zod';

import { decodeBase64, encodeBase64 } from '../byte-text.js';
import { canonicalize } from '../canonical-json.js';
import type { Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { x25519PublicKey } from '../sealing/x25519.js';
import { sha256 } from '../signing/hash.js';
import { base64Schema } from '../text-schemas.js';
import type { SecureRound } from './secure-round.js';
import { ENTRY_BYTES, hashesOfEntry } from './share-bundle.js';
import { combineShares, seedHash, SHARE_BYTES, shareHash, type ShareKind } from './shamir.js';
import { openStage, readCanonical, type SignedStage, type Signer } from './stage-message.js';
import { SECAGG_VERSION, version, type StagePayload } from './stage-payloads.js';

const proofSchema = z.strictObject({
  formatVersion: version,
  given: z
    .array(z.strictObject({ entry: base64Schema(ENTRY_BYTES), share: base64Schema(SHARE_BYTES) }))
    .min(2)
    .max(LIMITS.neighbours + 1),
});

/** A share that a holder gave, beside the entry of the dealer's bundle that it comes from. */
export interface ProvenShare {
  readonly entry: Uint8Array;
  readonly share: Uint8Array;
}

/** The bytes that show, with what the dealer signed, that its shares do not make its secret: t of them, of one kind. */
export function encodeBadDealing(given: readonly ProvenShare[]): Uint8Array {
  return canonicalize({
    formatVersion: SECAGG_VERSION,
    given: given.map(({ entry, share }) => ({ entry: encodeBase64(entry), share: encodeBase64(share) })),
  });
}

/** What somebody who took part in an attempt knows of one of its dealers. */
export interface KnownDealer extends Signer {
  readonly round: SecureRound;
  readonly rosterDigest: Digest;
  readonly threshold: number;
  /** X25519, as advertised. */
  readonly maskKey: Uint8Array;
}

/**
 * Whether the dealer cannot have been honest in that attempt: t shares of one kind, each of another entry that it signed,
 * do not make what it committed to. Nobody can show that of an honest one. Throws SECAGG_MESSAGE_INVALID for what is not
 * a proof at all.
 */
export async function provesBadDealing(
  dealer: KnownDealer,
  message: SignedStage,
  proof: Uint8Array,
): Promise<boolean> {
  const payload = openStage(dealer.round, 'share', dealer, message);
  const parsed = proofSchema.safeParse(readCanonical(proof, 'the proof', LIMITS.stagePayloadBytes));
  if (!parsed.success || payload.rosterDigest !== dealer.rosterDigest) return false;
  const given = parsed.data.given.map(({ entry, share }) => ({
    entry: decodeBase64(entry, 'entry'),
    share: decodeBase64(share, 'share'),
  }));
  const entries = new Set(given.map(({ entry }) => encodeBase64(sha256(entry))));
  const areSigned = [...entries].every((hash) => payload.entries.includes(hash));
  if (!areSigned || entries.size < given.length || given.length < dealer.threshold) return false;
  const kind = (['key', 'seed'] as const).find((one) => given.every((share) => isOfKind(share, one)));
  if (kind === undefined) return false;
  const secret = await combineShares(given.slice(0, dealer.threshold).map(({ share }) => share));
  return secret === undefined || !isCommitted(kind, secret, dealer, payload);
}

function isOfKind({ entry, share }: ProvenShare, kind: ShareKind): boolean {
  const { keyHash, seedHash: hashOfSeed } = hashesOfEntry(entry);
  return Buffer.compare(shareHash(kind, share), kind === 'key' ? keyHash : hashOfSeed) === 0;
}

function isCommitted(
  kind: ShareKind,
  secret: Uint8Array,
  { maskKey }: KnownDealer,
  payload: StagePayload<'share'>,
): boolean {
  if (kind === 'key') return Buffer.compare(x25519PublicKey(secret), maskKey) === 0;
  return encodeBase64(seedHash(secret)) === payload.seedHash;
}
