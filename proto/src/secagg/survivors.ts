import { z } from 'zod';

import { canonicalize } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { digestOf } from '../signing/hash.js';
import type { SigningKey } from '../signing/ed25519.js';
import { digestSchema } from '../text-schemas.js';
import type { OpenCohort } from './cohort.js';
import type { OpenRoundRoster } from './roster.js';
import { blame, isAscending, type SecureRound } from './secure-round.js';
import { openStage, readCanonical, signStage, type SignedStage, type Signer } from './stage-message.js';
import { agentIdSchema, SECAGG_VERSION, version } from './stage-payloads.js';

const survivorsSchema = z.strictObject({
  formatVersion: version,
  cohortDigest: digestSchema,
  /** Everybody whose masked vector is in the sum, ascending. */
  survivors: z.array(agentIdSchema).max(LIMITS.updatesPerRound),
});

/** Whose masked vectors are added: announced after the third stage, and signed by themselves in the fourth. */
export type Survivors = z.infer<typeof survivorsSchema>;

export interface OpenSurvivors {
  readonly digest: Digest;
  readonly survivors: readonly string[];
  /** Members of the cohort whose vector is missing, ascending: their mask keys are recovered. */
  readonly dropped: readonly string[];
  has(agentId: string): boolean;
}

/** One signature of a survivor set. */
export interface Agreement {
  readonly agentId: string;
  readonly message: SignedStage;
}

/** The canonical bytes of a survivor set. */
export function encodeSurvivors(cohort: OpenCohort, survivors: readonly string[]): Uint8Array {
  return canonicalize({
    formatVersion: SECAGG_VERSION,
    cohortDigest: cohort.digest,
    survivors: [...survivors].sort(),
  });
}

/**
 * Reads a survivor set. Throws SECAGG_MESSAGE_INVALID where it is malformed, of another cohort or names a stranger, or
 * leaves `self` out; SECAGG_TOO_FEW where fewer survive than the plan (max of t, c + 2 and the job's minimum) or `minimum`,
 * the site's own, allows.
 */
export function openSurvivors(
  bytes: Uint8Array,
  roster: OpenRoundRoster,
  cohort: OpenCohort,
  { self, minimum = 0 }: { readonly self?: string; readonly minimum?: number } = {},
): OpenSurvivors {
  const parsed = survivorsSchema.safeParse(readCanonical(bytes, 'the survivor set', LIMITS.roundRosterBytes));
  if (!parsed.success) throw wrong('it is malformed');
  const { cohortDigest, survivors } = parsed.data;
  if (cohortDigest !== cohort.digest) throw wrong('it is of another cohort');
  if (!isAscending(survivors)) throw wrong('it is not in order');
  const stranger = survivors.find((agentId) => !cohort.has(agentId));
  if (stranger !== undefined) throw wrong(`${stranger} is not in the cohort`);
  if (self !== undefined && !survivors.includes(self))
    throw wrong('it leaves out this agent, which asked for nothing else');
  const least = Math.max(roster.roster.plan.survivors, minimum);
  if (survivors.length < least) {
    const text = `${String(survivors.length)} sites would be in the sum; this round needs ${String(least)}`;
    throw new TributaryError('SECAGG_TOO_FEW', text);
  }
  const set = new Set(survivors);
  return {
    digest: digestOf(bytes),
    survivors,
    dropped: cohort.agentIds.filter((agentId) => !set.has(agentId)),
    has: (agentId) => set.has(agentId),
  };
}

/**
 * Signs a survivor set: once for each cohort, never a second one. `refused` are dealers whose shares the agent cannot use:
 * said before anything is unmasked, it costs a round and no secret.
 */
export function signSurvivors(
  round: SecureRound,
  agentId: string,
  cohort: OpenCohort,
  survivors: OpenSurvivors,
  key: Pick<SigningKey, 'sign'>,
  refused: readonly string[] = [],
): SignedStage {
  const payload = {
    formatVersion: SECAGG_VERSION,
    cohortDigest: cohort.digest,
    survivorsDigest: survivors.digest,
    ...(refused.length === 0 ? {} : { refused: [...refused].sort() }),
  } as const;
  return signStage(round, 'agree', agentId, payload, key);
}

/**
 * Verifies one signature of a survivor set; returns the dealers whose shares the signer cannot use. Throws
 * SECAGG_MESSAGE_INVALID, naming the signer.
 */
export function verifyAgreement(
  round: SecureRound,
  cohort: OpenCohort,
  survivors: OpenSurvivors,
  signer: Signer,
  message: SignedStage,
): readonly string[] {
  const { agentId } = signer;
  if (!survivors.has(agentId)) throw blame(agentId, 'agree', 'it is not in the set that it signs');
  const payload = openStage(round, 'agree', signer, message);
  if (payload.cohortDigest !== cohort.digest || payload.survivorsDigest !== survivors.digest)
    throw blame(agentId, 'agree', 'it signed another survivor set');
  const { refused = [] } = payload;
  if (!isAscending(refused) || refused.some((dealer) => !cohort.has(dealer)))
    throw blame(agentId, 'agree', 'it refuses shares of dealers that the cohort does not have');
  return refused;
}

/**
 * Verifies that enough of its members signed a survivor set: t of them, on a k-regular graph t holders of `self`'s
 * shares. With 2t > n + c no second set can have that. A forged signature is named; SECAGG_TOO_FEW where too few are left.
 */
export function verifySurvivorSet(
  roster: OpenRoundRoster,
  cohort: OpenCohort,
  survivors: OpenSurvivors,
  agreements: readonly Agreement[],
  self?: string,
): void {
  const { topology, threshold } = roster.roster.plan;
  const counted = new Set<string>();
  const near = topology.type === 'KRegular' && self !== undefined ? roster.graph.holdersOf(self) : undefined;
  for (const { agentId, message } of agreements) {
    if (near !== undefined && !near.includes(agentId)) continue;
    verifyAgreement(roster.round, cohort, survivors, roster.member(agentId), message);
    counted.add(agentId);
  }
  if (counted.size >= threshold) return;
  const text = `${String(counted.size)} survivors signed the set; ${String(threshold)} signatures are needed`;
  throw new TributaryError('SECAGG_TOO_FEW', text);
}

function wrong(problem: string): TributaryError {
  return new TributaryError('SECAGG_MESSAGE_INVALID', `the survivor set is refused: ${problem}`);
}
