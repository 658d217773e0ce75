import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { x25519PublicKey } from '../sealing/x25519.js';
import type { OpenCohort } from './cohort.js';
import { opposite, pairMask, selfMask } from './mask-keys.js';
import type { Mask } from './mask-stream.js';
import { distinct, neededOwners, type RefusedDealers } from './refused-shares.js';
import type { OpenRoundRoster } from './roster.js';
import type { Culprit } from './secure-round.js';
import type { ShareCommitments } from './share-bundle.js';
import { choices } from './share-choices.js';
import { combineShares, seedHash } from './shamir.js';
import { shareKindOf, type GivenShare, type UnmaskAnswer } from './unmasking.js';
import type { OpenSurvivors } from './survivors.js';

/** Everything that the last stage left with the coordinator. */
export interface Unmasking {
  readonly roster: OpenRoundRoster;
  readonly cohort: OpenCohort;
  readonly survivors: OpenSurvivors;
  readonly commitments: ReadonlyMap<string, ShareCommitments>;
  /** Of those who signed the survivor set. */
  readonly refused: RefusedDealers;
  /** One of each holder at most. */
  readonly answers: readonly UnmaskAnswer[];
}

/** What the answers make; in both cases who gave, or dealt, what no honest agent does. */
export type Recovery =
  /** Apply the masks once, with `RingSum.unmask`. */
  | { readonly type: 'Recovered'; readonly masks: readonly Mask[]; readonly culprits: readonly Culprit[] }
  /** SECAGG_TOO_FEW where a secret has fewer than t shares, SECAGG_MESSAGE_INVALID where those of a dealer do not combine. */
  | { readonly type: 'Lost'; readonly error: TributaryError; readonly culprits: readonly Culprit[] };

/**
 * The masks that turn the sum of the survivors' vectors into the sum of their words: the self mask of each survivor, and
 * each mask between a survivor and somebody who dropped out. A share that does not fit is left out where t others do.
 */
export async function recoverMasks(unmasking: Unmasking): Promise<Recovery> {
  const { cohort, survivors } = unmasking;
  const shares = sharesByOwner(unmasking.answers);
  const culprits = [...dishonestHolders(unmasking)];
  const masks: Mask[] = [];
  let error: TributaryError | undefined;
  for (const owner of neededOwners(cohort, survivors)) {
    const found = await recoverSecret(unmasking, owner, shares.get(owner) ?? []);
    if (found.culprit) culprits.push({ agentId: owner, stage: 'share', reason: 'SharesDoNotCombine' });
    if (found.secret === undefined) {
      error ??= found.culprit ? notCombined(owner) : tooFew(owner, found.missing);
      continue;
    }
    if (survivors.has(owner)) masks.push(opposite(selfMask(cohort.binding, owner, found.secret)));
    else masks.push(...danglingMasks(unmasking, owner, found.secret));
    found.secret.fill(0);
  }
  if (error === undefined) return { type: 'Recovered', masks, culprits: distinct(culprits) };
  return { type: 'Lost', error, culprits: distinct(culprits) };
}

interface FoundSecret {
  readonly secret?: Uint8Array;
  /** Shares that are wanting. */
  readonly missing: number;
  /** Whether t shares that the owner signed do not make what it committed to. */
  readonly culprit: boolean;
}

async function recoverSecret(
  unmasking: Unmasking,
  owner: string,
  given: readonly GivenShare[],
): Promise<FoundSecret> {
  const { threshold } = unmasking.roster.roster.plan;
  const missing = Math.max(0, threshold - given.length);
  if (missing > 0) return { missing, culprit: false };
  let culprit = false;
  for (const chosen of choices(given, threshold, LIMITS.shareChoices)) {
    const secret = await combineShares(chosen.map(({ share }) => share));
    if (secret !== undefined && isCommitted(unmasking, owner, secret)) return { secret, missing, culprit };
    culprit = true;
  }
  return { missing, culprit };
}

/** Whoever altered a share, or gave none although it said that it can use what it was dealt. */
function* dishonestHolders({ roster, cohort, survivors, refused, answers }: Unmasking): Generator<Culprit> {
  const needed = new Set(neededOwners(cohort, survivors));
  for (const { agentId, shares, altered } of answers) {
    if (altered.length > 0) yield { agentId, stage: 'unmask', reason: 'ShareAltered' };
    const excused = new Set([
      ...shares.map(({ owner }) => owner),
      ...altered,
      ...(refused.get(agentId) ?? []),
    ]);
    // Whoever holds my shares is whose shares I hold.
    const held = roster.graph.holdersOf(agentId).filter((owner) => needed.has(owner));
    if (held.some((owner) => !excused.has(owner)))
      yield { agentId, stage: 'unmask', reason: 'SharesWithheld' };
  }
}

/** With the key of somebody who dropped out: what its surviving peers applied for their pairs with it, taken back. */
function danglingMasks(
  { roster, cohort, survivors }: Unmasking,
  dropped: string,
  secret: Uint8Array,
): Mask[] {
  // What the dropped agent would have applied cancels what its peer did.
  return cohort
    .peersOf(dropped)
    .filter(({ agentId }) => survivors.has(agentId))
    .map((peer) => pairMask(cohort.binding, roster.member(dropped), secret, peer));
}

function isCommitted(
  { roster, survivors, commitments }: Unmasking,
  owner: string,
  secret: Uint8Array,
): boolean {
  const [found, expected] =
    shareKindOf(survivors, owner) === 'seed'
      ? [seedHash(secret), commitments.get(owner)?.seedHash]
      : [x25519PublicKey(secret), roster.member(owner).maskKey];
  return expected !== undefined && Buffer.compare(found, expected) === 0;
}

/** Shares by owner, each holder counted once. */
function sharesByOwner(answers: readonly UnmaskAnswer[]): ReadonlyMap<string, readonly GivenShare[]> {
  const byOwner = new Map<string, GivenShare[]>();
  const holders = new Set<string>();
  for (const { agentId, shares } of answers) {
    if (holders.has(agentId)) continue;
    holders.add(agentId);
    for (const share of shares) byOwner.set(share.owner, [...(byOwner.get(share.owner) ?? []), share]);
  }
  return byOwner;
}

const tooFew = (owner: string, missing: number): TributaryError =>
  new TributaryError(
    'SECAGG_TOO_FEW',
    `${String(missing)} more shares of ${owner} are needed to unmask the sum`,
    { fields: { agentId: owner } },
  );

const notCombined = (owner: string): TributaryError =>
  new TributaryError(
    'SECAGG_MESSAGE_INVALID',
    `share of ${owner}: the shares that it signed do not make the secret that it committed to`,
    { fields: { agentId: owner, stage: 'share' } },
  );
