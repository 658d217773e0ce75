import { decodeBase64, encodeBase64 } from '../byte-text.js';
import type { SigningKey } from '../signing/ed25519.js';
import type { OpenCohort } from './cohort.js';
import type { OpenRoundRoster } from './roster.js';
import { blame } from './secure-round.js';
import type { HeldShares, ShareCommitments } from './share-bundle.js';
import { shareHash, type ShareKind } from './shamir.js';
import { openStage, signStage, type SignedStage } from './stage-message.js';
import { SECAGG_VERSION, type StagePayload } from './stage-payloads.js';
import type { OpenSurvivors } from './survivors.js';

/** Which of the two shares of a dealer in the cohort a holder gives: never both. */
export function shareKindOf(survivors: OpenSurvivors, owner: string): ShareKind {
  return survivors.has(owner) ? 'seed' : 'key';
}

/**
 * An agent's answer to the last stage: for each dealer of the cohort the one share that the survivor set allows. Give it
 * once, for one survivor set whose signatures were verified. `held` are the shares that opened: of other dealers, which
 * the agent refused when it signed the survivor set, it gives none.
 */
export function signUnmasking(
  roster: OpenRoundRoster,
  cohort: OpenCohort,
  survivors: OpenSurvivors,
  agentId: string,
  held: readonly HeldShares[],
  key: Pick<SigningKey, 'sign'>,
): SignedStage {
  const owned = held
    .filter(({ dealer }) => cohort.has(dealer))
    .sort((a, b) => (a.dealer < b.dealer ? -1 : 1));
  const sharesOf = (kind: ShareKind): StagePayload<'unmask'>['seeds'] =>
    owned
      .filter(({ dealer }) => shareKindOf(survivors, dealer) === kind)
      .map(({ dealer, keyShare, seedShare }) => ({
        owner: dealer,
        share: encodeBase64(kind === 'key' ? keyShare : seedShare),
      }));
  const payload = {
    formatVersion: SECAGG_VERSION,
    survivorsDigest: survivors.digest,
    seeds: sharesOf('seed'),
    keys: sharesOf('key'),
  } as const;
  return signStage(roster.round, 'unmask', agentId, payload, key);
}

/** One share that a survivor gave and that is what its dealer signed. */
export interface GivenShare {
  readonly holder: string;
  readonly owner: string;
  readonly kind: ShareKind;
  readonly share: Uint8Array;
}

export interface UnmaskAnswer {
  readonly agentId: string;
  readonly shares: readonly GivenShare[];
  /** Dealers of whom it gave another share than they signed: the holder saw the right one. */
  readonly altered: readonly string[];
}

/**
 * Verifies an answer to the last stage, as the coordinator does. Throws SECAGG_MESSAGE_INVALID, naming the sender, where
 * the whole answer is wrong: its signature, its survivor set, a share that it may not have or of the kind that this set
 * keeps secret. Single altered shares are named and skipped.
 */
export function verifyUnmaskAnswer(
  roster: OpenRoundRoster,
  survivors: OpenSurvivors,
  commitments: ReadonlyMap<string, ShareCommitments>,
  agentId: string,
  message: SignedStage,
): UnmaskAnswer {
  if (!survivors.has(agentId)) throw blame(agentId, 'unmask', 'it is not among the survivors');
  const payload = openStage(roster.round, 'unmask', roster.member(agentId), message);
  if (payload.survivorsDigest !== survivors.digest)
    throw blame(agentId, 'unmask', 'it answers for another survivor set');
  const seen = new Set<string>();
  const shares: GivenShare[] = [];
  const altered: string[] = [];
  for (const kind of ['seed', 'key'] as const) {
    for (const { owner, share } of kind === 'seed' ? payload.seeds : payload.keys) {
      const committed = commitments.get(owner)?.hashes.get(agentId);
      if (committed === undefined) throw blame(agentId, 'unmask', `it holds no share of ${owner}`);
      if (seen.has(owner) || shareKindOf(survivors, owner) !== kind)
        throw blame(agentId, 'unmask', `it gives a share of ${owner} that this survivor set keeps secret`);
      seen.add(owner);
      const bytes = decodeBase64(share, 'share');
      const expected = kind === 'seed' ? committed.seedHash : committed.keyHash;
      if (Buffer.compare(shareHash(kind, bytes), expected) === 0)
        shares.push({ holder: agentId, owner, kind, share: bytes });
      else altered.push(owner);
    }
  }
  return { agentId, shares, altered };
}
