import { TributaryError } from '../errors/tributary-error.js';
import { x25519PublicKey } from '../sealing/x25519.js';
import type { OpenCohort } from './cohort.js';
import { opposite, pairMask, selfMask } from './mask-keys.js';
import type { Mask } from './mask-stream.js';
import type { OpenRoundRoster } from './roster.js';
import { blame } from './secure-round.js';
import type { ShareCommitments } from './share-bundle.js';
import { combineShares, seedHash } from './shamir.js';
import { shareKindOf, type GivenShare, type UnmaskAnswer } from './unmasking.js';
import type { OpenSurvivors } from './survivors.js';

/** Everything that the last stage left with the coordinator. */
export interface Unmasking {
  readonly roster: OpenRoundRoster;
  readonly cohort: OpenCohort;
  readonly survivors: OpenSurvivors;
  readonly commitments: ReadonlyMap<string, ShareCommitments>;
  readonly answers: readonly UnmaskAnswer[];
}

/** Agents with fewer verified shares than are needed, and how many are missing: while there are some, the round waits. */
export function missingShares(unmasking: Omit<Unmasking, 'commitments'>): ReadonlyMap<string, number> {
  const shares = sharesByOwner(unmasking.answers);
  const { threshold } = unmasking.roster.roster.plan;
  const missing = neededOwners(unmasking)
    .map((owner) => [owner, threshold - (shares.get(owner)?.length ?? 0)] as const)
    .filter(([, count]) => count > 0);
  return new Map(missing);
}

/**
 * The masks that turn the sum of the survivors' vectors into the sum of their words: the self mask of each survivor, and
 * each mask between a survivor and somebody who dropped out. Apply them once, with `RingSum.unmask`. Throws SECAGG_TOO_FEW
 * where an owner has fewer than t verified shares, SECAGG_MESSAGE_INVALID, naming the dealer, where t shares that it signed
 * do not make the secret that it committed to.
 */
export async function recoverMasks(unmasking: Unmasking): Promise<readonly Mask[]> {
  const { roster, cohort, survivors } = unmasking;
  const [missing] = missingShares(unmasking);
  if (missing !== undefined) {
    const [owner, count] = missing;
    const text = `${String(count)} more shares of ${owner} are needed to unmask the sum`;
    throw new TributaryError('SECAGG_TOO_FEW', text, { fields: { agentId: owner } });
  }
  const shares = sharesByOwner(unmasking.answers);
  const masks: Mask[] = [];
  for (const owner of neededOwners(unmasking)) {
    const given = (shares.get(owner) ?? []).slice(0, roster.roster.plan.threshold);
    const secret = await combineShares(given.map(({ share }) => share));
    if (secret === undefined || !isCommitted(unmasking, owner, secret))
      throw blame(owner, 'share', 'the shares that it signed do not make the secret that it committed to');
    if (survivors.has(owner)) masks.push(opposite(selfMask(cohort.binding, owner, secret)));
    else masks.push(...danglingMasks(unmasking, owner, secret));
    secret.fill(0);
  }
  return masks;
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

/** Each survivor, and of the others those that have a mask with one. */
function neededOwners({ cohort, survivors }: Omit<Unmasking, 'commitments'>): readonly string[] {
  return cohort.agentIds.filter(
    (owner) => survivors.has(owner) || cohort.peersOf(owner).some(({ agentId }) => survivors.has(agentId)),
  );
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
