import { z } from 'zod';

import { decodeBase64, encodeBase64 } from '../byte-text.js';
import { canonicalize, canonicalText } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { x25519Shared } from '../sealing/x25519.js';
import { digestOf } from '../signing/hash.js';
import { base64Schema, digestSchema } from '../text-schemas.js';
import { neighbourhoods, type Neighbourhoods } from './neighbourhoods.js';
import type { SecureAggregationPlan } from './plan.js';
import { blame, byAgentId, isAscending, roundFields, type SecureRound } from './secure-round.js';
import { openStage, readCanonical, type SignedStage, type Signer } from './stage-message.js';
import {
  agentIdSchema,
  SECAGG_VERSION,
  siteSchema,
  STAGE_PAYLOADS,
  version,
  type StagePayload,
} from './stage-payloads.js';

const uint = z.int().nonnegative();

const memberSchema = z.strictObject({
  agentId: agentIdSchema,
  site: siteSchema,
  /** Ed25519, of the membership. */
  identityKey: base64Schema(32),
  advertisement: STAGE_PAYLOADS.advertise,
  /** The agent's, over its advertisement. */
  signature: base64Schema(64),
});

export const roundRosterSchema = z.strictObject({
  formatVersion: version,
  wire: z.string().max(16),
  logId: z.string().regex(/^[0-9a-f]{64}$/),
  jobId: z.string().regex(/^job-[0-9a-f]{32}$/),
  round: uint,
  attempt: uint,
  baseDigest: digestSchema,
  plan: z.strictObject({
    agents: uint,
    topology: z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('Complete') }),
      z.strictObject({ type: z.literal('KRegular'), neighbours: uint.max(LIMITS.neighbours) }),
    ]),
    threshold: uint.min(2),
    colluders: uint,
    dropouts: uint,
    survivors: uint,
    adversary: z.enum(['HonestButCurious', 'Active']),
  }),
  /** Public, 32 bytes: places the agents on the k-regular graph. */
  graphSeed: base64Schema(32),
  /** Everybody who advertised in time, ascending by agent id. */
  members: z.array(memberSchema).max(LIMITS.updatesPerRound),
});

/** Who takes part in a secure round with which keys: announced after the first stage, the same for all. */
export type RoundRoster = z.infer<typeof roundRosterSchema>;
export type RoundMember = RoundRoster['members'][number];

/** A roster that was verified, and what follows from it. */
export interface OpenRoundRoster {
  readonly roster: RoundRoster;
  readonly round: SecureRound;
  /** Of the canonical roster: shares are bound to it. */
  readonly digest: Digest;
  readonly graph: Neighbourhoods;
  /** Throws NOT_IN_COHORT for an agent that is not in it. */
  member(agentId: string): MemberKeys;
}

/** The keys of a member as bytes. */
export interface MemberKeys extends Signer {
  readonly site: string;
  readonly maskKey: Uint8Array;
  readonly sealKey: Uint8Array;
}

/** What somebody knows of a round before it sees a roster. */
export interface RoundRosterExpectation {
  readonly round: SecureRound;
  readonly baseDigest: Digest;
  /** As computed from the job and the cohort of `round.opened`. */
  readonly plan: SecureAggregationPlan;
  /** Whether that agent of that site has that identity key, as the federation root or the site's policy says. */
  readonly isMember: (member: Pick<RoundMember, 'agentId' | 'site' | 'identityKey'>) => boolean;
  /** An agent's own: the roster must hold exactly what it advertised. */
  readonly self?: { readonly agentId: string; readonly advertisement: SignedStage };
}

/** Verifies one advertisement: what the coordinator does on arrival, and everybody with those of a roster. */
export function verifyAdvertisement(
  round: SecureRound,
  baseDigest: Digest,
  signer: Signer,
  message: SignedStage,
): StagePayload<'advertise'> {
  const payload = openStage(round, 'advertise', signer, message);
  const { agentId } = signer;
  if (payload.baseDigest !== baseDigest) throw blame(agentId, 'advertise', 'it is for another base model');
  if (payload.maskKey === payload.sealKey)
    throw blame(agentId, 'advertise', 'one key serves for masks and for shares');
  for (const name of ['maskKey', 'sealKey'] as const) {
    try {
      x25519Shared(decodeBase64(payload[name], name), ANY_SECRET);
    } catch (cause) {
      throw blame(agentId, 'advertise', `${name} is not a key that somebody can own`, cause);
    }
  }
  return payload;
}

/** Serves to find points of small order: their shared secret is zero whatever the other key. */
const ANY_SECRET = new Uint8Array(32).fill(1);

/** The canonical bytes of a roster, its members in order. */
export function encodeRoundRoster(
  expected: Pick<RoundRosterExpectation, 'round' | 'baseDigest' | 'plan'>,
  graphSeed: Uint8Array,
  members: readonly RoundMember[],
): Uint8Array {
  return canonicalize({
    ...roundFields(expected.round),
    formatVersion: SECAGG_VERSION,
    baseDigest: expected.baseDigest,
    plan: { ...expected.plan, topology: { ...expected.plan.topology } },
    graphSeed: encodeBase64(graphSeed),
    members: byAgentId(members),
  });
}

/**
 * Reads and verifies a roster. Throws SECAGG_MESSAGE_INVALID where it is malformed, of another round or plan, shows an
 * agent another advertisement than its own, or holds a forged, doubled or foreign member; SECAGG_TOO_FEW where fewer
 * remain than the plan needs.
 */
export function openRoundRoster(bytes: Uint8Array, expected: RoundRosterExpectation): OpenRoundRoster {
  const parsed = roundRosterSchema.safeParse(readCanonical(bytes, 'the roster', LIMITS.roundRosterBytes));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw wrong(`${(issue?.path ?? []).map(String).join('.')}: ${issue?.message ?? 'malformed'}`);
  }
  const roster = parsed.data;
  const round = roundFields(roster);
  if (canonicalText(round) !== canonicalText(roundFields(expected.round)))
    throw wrong('it is of another round');
  if (roster.baseDigest !== expected.baseDigest) throw wrong('it is for another base model');
  if (
    canonicalText(roster.plan) !==
    canonicalText({ ...expected.plan, topology: { ...expected.plan.topology } })
  )
    throw wrong('its threshold, graph or bounds are not those of the job');
  requireDistinct(roster);
  for (const member of roster.members) requireMember(member, expected);
  requireSelf(roster, expected.self);
  if (roster.members.length < roster.plan.survivors) {
    throw new TributaryError(
      'SECAGG_TOO_FEW',
      `${String(roster.members.length)} sites advertised keys; the round needs ${String(roster.plan.survivors)}`,
    );
  }
  return opened(roster, round, digestOf(bytes));
}

function opened(roster: RoundRoster, round: SecureRound, digest: Digest): OpenRoundRoster {
  const ids = roster.members.map(({ agentId }) => agentId);
  const keys = new Map(roster.members.map((member) => [member.agentId, keysOf(member)]));
  const seed = decodeBase64(roster.graphSeed, 'graphSeed');
  return {
    roster,
    round,
    digest,
    graph: neighbourhoods(roster.plan.topology, ids, seed),
    member: (agentId) => {
      const found = keys.get(agentId);
      if (found === undefined)
        throw new TributaryError('NOT_IN_COHORT', `${agentId} is not in the roster of this round`);
      return found;
    },
  };
}

function keysOf({ agentId, site, identityKey, advertisement }: RoundMember): MemberKeys {
  return {
    agentId,
    site,
    identityKey: decodeBase64(identityKey, 'identityKey'),
    maskKey: decodeBase64(advertisement.maskKey, 'maskKey'),
    sealKey: decodeBase64(advertisement.sealKey, 'sealKey'),
  };
}

/** One agent may not sit in several places: not by id, site or any of its keys. */
function requireDistinct({ members, plan }: RoundRoster): void {
  if (!isAscending(members.map(({ agentId }) => agentId))) throw wrong('its members are not in order');
  if (members.length > plan.agents) throw wrong('it has more members than the cohort');
  const seen = new Map<string, string>();
  for (const { agentId, site, identityKey, advertisement } of members) {
    const names = [`site ${site}`, identityKey, advertisement.maskKey, advertisement.sealKey];
    for (const name of names) {
      const other = seen.get(name);
      if (other !== undefined) throw blame(agentId, 'advertise', `it shares its site or a key with ${other}`);
      seen.set(name, agentId);
    }
  }
}

function requireMember(member: RoundMember, { round, baseDigest, isMember }: RoundRosterExpectation): void {
  const { agentId, advertisement } = member;
  if (!isMember(member))
    throw blame(agentId, 'advertise', 'it is no member of this federation with this key');
  const message = {
    payload: canonicalize(advertisement),
    signature: decodeBase64(member.signature, 'signature'),
  };
  const identityKey = decodeBase64(member.identityKey, 'identityKey');
  verifyAdvertisement(round, baseDigest, { agentId, identityKey }, message);
}

function requireSelf({ members }: RoundRoster, self: RoundRosterExpectation['self']): void {
  if (self === undefined) return;
  const own = members.find(({ agentId }) => agentId === self.agentId);
  if (own === undefined) throw wrong('it leaves this agent out');
  if (Buffer.compare(canonicalize(own.advertisement), self.advertisement.payload) !== 0)
    throw wrong('it holds other keys of this agent than it advertised');
}

function wrong(problem: string): TributaryError {
  return new TributaryError('SECAGG_MESSAGE_INVALID', `the roster is refused: ${problem}`);
}
