import { decodeBase64, encodeBase64 } from '../byte-text.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { SigningKey } from '../signing/ed25519.js';
import { sha256 } from '../signing/hash.js';
import { seedHash as hashOfSeed, dealShares } from './shamir.js';
import { SECAGG_VERSION, type StagePayload } from './stage-payloads.js';
import {
  openShares,
  SEALED_SHARES_BYTES,
  sealShares,
  sharePairHashes,
  type SharePair,
  type SharePairHashes,
} from './sealed-shares.js';
import { blame } from './secure-round.js';
import { openStage, signStage, type SignedStage } from './stage-message.js';
import type { RoundSecrets } from './mask-keys.js';
import type { OpenRoundRoster } from './roster.js';

/**
 * What a dealer sends: signed commitments, and one entry a holder in the order of `holdersOf`. An entry is the sealed
 * shares, the hash of the key share and the hash of the seed share: 146 bytes.
 */
export interface ShareBundle extends SignedStage {
  readonly entries: readonly Uint8Array[];
}

/** What of it one holder gets: its own entry alone. */
export interface ShareDelivery extends SignedStage {
  readonly dealer: string;
  readonly entry: Uint8Array;
}

const HASH_BYTES = 32;

/** Bytes of an entry. */
export const ENTRY_BYTES = SEALED_SHARES_BYTES + 2 * HASH_BYTES;

/**
 * Deals the secrets of an agent to the holders that the roster gives it. Dealing again gives other shares: store the
 * bundle before it leaves, and send the stored one.
 */
export async function dealBundle(
  roster: OpenRoundRoster,
  agentId: string,
  secrets: Pick<RoundSecrets, 'maskSecret' | 'sealSecret' | 'seed'>,
  key: Pick<SigningKey, 'sign'>,
): Promise<ShareBundle> {
  const holders = roster.graph.holdersOf(agentId);
  const { threshold } = roster.roster.plan;
  const keyShares = await dealShares(secrets.maskSecret, holders.length, threshold);
  const seedShares = await dealShares(secrets.seed, holders.length, threshold);
  const entries = holders.map((receiver, index) => {
    const shares = { keyShare: at(keyShares, index), seedShare: at(seedShares, index) };
    const route = { round: roster.round, rosterDigest: roster.digest, sender: agentId, receiver };
    const sealed = sealShares(route, shares, secrets.sealSecret, roster.member(receiver).sealKey);
    const { keyHash, seedHash } = sharePairHashes(shares);
    return new Uint8Array(Buffer.concat([sealed, keyHash, seedHash]));
  });
  const payload = {
    formatVersion: SECAGG_VERSION,
    rosterDigest: roster.digest,
    seedHash: encodeBase64(hashOfSeed(secrets.seed)),
    entries: entries.map((entry) => encodeBase64(sha256(entry))),
  } as const;
  return { ...signStage(roster.round, 'share', agentId, payload, key), entries };
}

/** What a verified bundle commits its dealer to. */
export interface ShareCommitments {
  readonly dealer: string;
  /** `seedHash` of the self-mask seed. */
  readonly seedHash: Uint8Array;
  /** Hashes of the shares of each holder that is known: all for the coordinator. */
  readonly hashes: ReadonlyMap<string, SharePairHashes>;
}

/**
 * Verifies a whole bundle, as the coordinator does on arrival. Throws SECAGG_MESSAGE_INVALID, naming the dealer, where
 * its signature, roster or number of entries is wrong, or an entry is not the one signed. What is sealed in it only the
 * holders can judge.
 */
export function verifyShareBundle(
  roster: OpenRoundRoster,
  dealer: string,
  bundle: ShareBundle,
): ShareCommitments {
  const payload = openCommitments(roster, dealer, bundle);
  const holders = roster.graph.holdersOf(dealer);
  if (bundle.entries.length !== holders.length)
    throw blame(
      dealer,
      'share',
      `it has entries for ${String(bundle.entries.length)} of ${String(holders.length)} holders`,
    );
  const hashes = holders.map((holder, index) => {
    const entry = readEntry(dealer, payload, index, bundle.entries[index] ?? new Uint8Array(0));
    return [holder, entry.hashes] as const;
  });
  return { dealer, seedHash: decodeBase64(payload.seedHash, 'seedHash'), hashes: new Map(hashes) };
}

/** The shares that a holder got from one dealer. */
export interface HeldShares extends SharePair {
  readonly dealer: string;
}

/**
 * Verifies and opens one delivery. Throws SECAGG_MESSAGE_INVALID, naming the dealer, as {@link verifyShareBundle}, or
 * where the shares do not open or are not what the dealer signed.
 */
export function openDelivery(
  roster: OpenRoundRoster,
  holder: string,
  delivery: ShareDelivery,
  sealSecret: Uint8Array,
): HeldShares {
  const { dealer } = delivery;
  const payload = openCommitments(roster, dealer, delivery);
  const index = roster.graph.holdersOf(dealer).indexOf(holder);
  if (index < 0) throw blame(dealer, 'share', `${holder} is none of its holders`);
  const entry = readEntry(dealer, payload, index, delivery.entry);
  const route = { round: roster.round, rosterDigest: roster.digest, sender: dealer, receiver: holder };
  const shares = openShares(route, entry.sealed, entry.hashes, sealSecret, roster.member(dealer).sealKey);
  if (shares === undefined)
    throw blame(dealer, 'share', `its shares for ${holder} do not open as it signed them`);
  return { dealer, ...shares };
}

/** A delivery of which a holder can use nothing. */
export interface RefusedShares {
  readonly dealer: string;
  readonly problem: string;
}

/** Opens what can be opened: a bad delivery is named and skipped. Each dealer counts once. */
export function openDeliveries(
  roster: OpenRoundRoster,
  holder: string,
  deliveries: readonly ShareDelivery[],
  sealSecret: Uint8Array,
): { readonly held: readonly HeldShares[]; readonly refused: readonly RefusedShares[] } {
  const held = new Map<string, HeldShares>();
  const refused: RefusedShares[] = [];
  for (const delivery of deliveries) {
    if (held.has(delivery.dealer)) continue;
    try {
      held.set(delivery.dealer, openDelivery(roster, holder, delivery, sealSecret));
    } catch (error) {
      if (!(error instanceof TributaryError) || error.code === 'INTERNAL') throw error;
      refused.push({ dealer: delivery.dealer, problem: error.message });
    }
  }
  return { held: [...held.values()], refused };
}

function openCommitments(
  roster: OpenRoundRoster,
  dealer: string,
  message: SignedStage,
): StagePayload<'share'> {
  const payload = openStage(roster.round, 'share', roster.member(dealer), message);
  if (payload.rosterDigest !== roster.digest) throw blame(dealer, 'share', 'it is for another roster');
  if (payload.entries.length !== roster.graph.holdersOf(dealer).length)
    throw blame(dealer, 'share', 'it commits to another number of holders than it has');
  return payload;
}

interface Entry {
  readonly sealed: Uint8Array;
  readonly hashes: SharePairHashes;
}

function readEntry(dealer: string, payload: StagePayload<'share'>, index: number, bytes: Uint8Array): Entry {
  if (bytes.length !== ENTRY_BYTES || encodeBase64(sha256(bytes)) !== payload.entries[index])
    throw blame(dealer, 'share', `entry ${String(index)} is not the one it signed`);
  return {
    sealed: bytes.subarray(0, SEALED_SHARES_BYTES),
    hashes: hashesOfEntry(bytes),
  };
}

/** The hashes of both shares that an entry of ENTRY_BYTES holds. */
export function hashesOfEntry(entry: Uint8Array): SharePairHashes {
  return {
    keyHash: entry.slice(SEALED_SHARES_BYTES, SEALED_SHARES_BYTES + HASH_BYTES),
    seedHash: entry.slice(SEALED_SHARES_BYTES + HASH_BYTES),
  };
}

function at(shares: readonly Uint8Array[], index: number): Uint8Array {
  const share = shares[index];
  if (share === undefined) throw new TributaryError('INTERNAL', 'fewer shares than holders');
  return share;
}
