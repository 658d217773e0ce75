import { z } from 'zod';

import { canonicalize } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { digestOf } from '../signing/hash.js';
import { digestSchema } from '../text-schemas.js';
import type { MaskParty } from './mask-keys.js';
import type { OpenRoundRoster } from './roster.js';
import { blame, byAgentId, isAscending, type MaskBinding } from './secure-round.js';
import { readCanonical, stageDigest, type SignedStage } from './stage-message.js';
import { agentIdSchema, SECAGG_VERSION, version } from './stage-payloads.js';

const cohortSchema = z.strictObject({
  formatVersion: version,
  rosterDigest: digestSchema,
  /** Everybody whose shares arrived in time, ascending, with the digest of its signed commitments. */
  members: z
    .array(z.strictObject({ agentId: agentIdSchema, sharesDigest: digestSchema }))
    .max(LIMITS.updatesPerRound),
});

/**
 * Who masks: announced after the second stage. Its digest names, through the roster, the round, the base model, the plan
 * and every member's identity and keys, and every dealer's commitments; masks are bound to it, so that sites that were
 * shown different cohorts send vectors that nothing unmasks.
 */
export type Cohort = z.infer<typeof cohortSchema>;

export interface OpenCohort {
  readonly cohort: Cohort;
  /** The cohort digest. */
  readonly digest: Digest;
  readonly binding: MaskBinding;
  readonly agentIds: readonly string[];
  has(agentId: string): boolean;
  /** Those neighbours of an agent with whom it has a mask, ascending. */
  peersOf(agentId: string): readonly MaskParty[];
}

/** The canonical bytes of a cohort; `shares` are the signed commitments by dealer. */
export function encodeCohort(
  roster: OpenRoundRoster,
  shares: ReadonlyMap<string, Pick<SignedStage, 'payload'>>,
): Uint8Array {
  const members = [...shares].map(([agentId, { payload }]) => ({
    agentId,
    sharesDigest: stageDigest(payload),
  }));
  return canonicalize({
    formatVersion: SECAGG_VERSION,
    rosterDigest: roster.digest,
    members: byAgentId(members),
  });
}

/** What an agent holds against a cohort: its own commitments and those that it was delivered. */
export interface CohortEvidence {
  readonly agentId: string;
  readonly shares: Pick<SignedStage, 'payload'>;
  readonly delivered: readonly (Pick<SignedStage, 'payload'> & { readonly dealer: string })[];
}

/**
 * Reads a cohort. Throws SECAGG_MESSAGE_INVALID where it is malformed, of another roster, names a stranger, or does not
 * match what the agent dealt and was delivered; SECAGG_TOO_FEW where fewer members remain than the plan needs.
 */
export function openCohort(
  bytes: Uint8Array,
  roster: OpenRoundRoster,
  evidence?: CohortEvidence,
): OpenCohort {
  const parsed = cohortSchema.safeParse(readCanonical(bytes, 'the cohort', LIMITS.roundRosterBytes));
  if (!parsed.success) throw wrong('it is malformed');
  const cohort = parsed.data;
  if (cohort.rosterDigest !== roster.digest) throw wrong('it is of another roster');
  const agentIds = cohort.members.map(({ agentId }) => agentId);
  if (!isAscending(agentIds)) throw wrong('its members are not in order');
  for (const agentId of agentIds) roster.member(agentId);
  const digests = new Map(cohort.members.map(({ agentId, sharesDigest }) => [agentId, sharesDigest]));
  if (evidence !== undefined) requireEvidence(evidence, roster, digests);
  const { survivors } = roster.roster.plan;
  if (agentIds.length < survivors) {
    const text = `${String(agentIds.length)} sites dealt shares; the round needs ${String(survivors)}`;
    throw new TributaryError('SECAGG_TOO_FEW', text);
  }
  const digest = digestOf(bytes);
  return {
    cohort,
    digest,
    binding: { round: roster.round, baseDigest: roster.roster.baseDigest, cohortDigest: digest },
    agentIds,
    has: (agentId) => digests.has(agentId),
    peersOf: (agentId) =>
      roster.graph
        .neighboursOf(agentId)
        .filter((peer) => digests.has(peer))
        .map((peer) => roster.member(peer)),
  };
}

/** Every dealer of the cohort whose shares this agent holds must have delivered what the cohort says it signed. */
function requireEvidence(
  { agentId, shares, delivered }: CohortEvidence,
  { graph }: OpenRoundRoster,
  digests: ReadonlyMap<string, Digest>,
): void {
  if (digests.get(agentId) !== stageDigest(shares.payload))
    throw wrong('it does not hold this agent with what it dealt');
  const got = new Map(delivered.map(({ dealer, payload }) => [dealer, stageDigest(payload)]));
  for (const peer of graph.neighboursOf(agentId)) {
    const expected = digests.get(peer);
    if (expected === undefined) continue;
    if (!got.has(peer)) throw wrong(`it names ${peer}, of whom no share was delivered`);
    if (got.get(peer) !== expected)
      throw blame(peer, 'share', 'the cohort has other commitments than were delivered');
  }
}

function wrong(problem: string): TributaryError {
  return new TributaryError('SECAGG_MESSAGE_INVALID', `the cohort is refused: ${problem}`);
}
