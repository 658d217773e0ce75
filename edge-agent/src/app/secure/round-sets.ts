import {
  openCohort,
  openRoundRoster,
  requirePlan,
  SECURE_WIRE_VERSION,
  TributaryError,
  type FederationRule,
  type OpenCohort,
  type OpenRoundRoster,
  type Roster,
  type RoundSecrets,
  type SecureRound,
} from '@tributary/proto';

import type { OpenedRound } from '../../domain/order.js';
import { roundKey, type RoundKey } from '../../domain/round-key.js';
import { requireGraph } from '../../domain/stage-claims.js';
import type { SecureRecords, UnmaskedDealers } from './secure-records.js';

/** A round with secure aggregation that the site has allowed. */
export interface SecureTask {
  readonly round: OpenedRound;
  /** Fewest sites that the site's policy accepts in a sum. */
  readonly minimum: number;
  /** Whose company counts for that; every site's where absent. */
  readonly federation?: FederationRule;
  /** Whose identities count, where the policy pins a root; without it the coordinator says who is who. */
  readonly roster?: Roster;
}

export interface RoundSetsParts {
  readonly records: SecureRecords;
  readonly agentId: string;
  readonly logId: string;
}

/** What a site holds of a secure round, verified anew each time that it is read. */
export class RoundSets {
  readonly #parts: RoundSetsParts;

  constructor(parts: RoundSetsParts) {
    this.#parts = parts;
  }

  /** Rejects with SECAGG_STAGE_PASSED where nothing of the round is held. */
  async secrets(key: RoundKey): Promise<RoundSecrets> {
    const secrets = await this.#parts.records.secrets(key);
    if (secrets !== undefined) return secrets;
    // A restored state, or one that another process began: what it said then is not known here.
    throw passed('the site holds nothing of this round');
  }

  async roster(task: SecureTask): Promise<OpenRoundRoster> {
    const set = await this.#parts.records.set(roundKey(task.round.opened), 'roster');
    if (set === undefined) throw passed('the site has seen no roster of this round');
    return this.openRoster(task, set);
  }

  async cohort(task: SecureTask): Promise<OpenCohort> {
    const set = await this.#parts.records.set(roundKey(task.round.opened), 'cohort');
    if (set === undefined) throw passed('the site has seen no cohort of this round');
    return openCohort(set, await this.roster(task));
  }

  /** Reads a roster as the coordinator shows it. Rejects with SECAGG_MESSAGE_INVALID and SECAGG_TOO_FEW. */
  async openRoster({ round, roster }: SecureTask, set: Uint8Array): Promise<OpenRoundRoster> {
    const { records, agentId } = this.#parts;
    const advertisement = await records.answered(roundKey(round.opened), 'advertise');
    if (advertisement === undefined) throw passed('the site has advertised no keys');
    const { cohort, baseDigest } = round.opened;
    const { minSites, privacy } = round.job.spec;
    const open = openRoundRoster(set, {
      round: this.secureRound(round),
      baseDigest,
      plan: requirePlan({ ...privacy, agents: cohort.length, minimum: minSites }),
      isMember: ({ agentId: member, site, identityKey }) =>
        cohort.some((one) => one.agentId === member && one.site === site) &&
        (roster === undefined || isKnown(roster, member, identityKey)),
      self: { agentId, advertisement },
    });
    requireGraph(round, open.roster.graphSeed);
    return open;
  }

  /** What signatures of the round are bound to. */
  secureRound({ opened: { jobId, round, attempt } }: OpenedRound): SecureRound {
    return { wire: SECURE_WIRE_VERSION, logId: this.#parts.logId, jobId, round, attempt };
  }
}

/** What a proof against a dealer of the attempt is held against later. */
export const dealersOf = (open: OpenRoundRoster): UnmaskedDealers => ({
  round: open.round.round,
  attempt: open.round.attempt,
  rosterDigest: open.digest,
  threshold: open.roster.plan.threshold,
  dealers: open.roster.members.map(({ agentId }) => {
    const { site, identityKey, maskKey } = open.member(agentId);
    return { agentId, site, identityKey, maskKey };
  }),
});

/** Whether the federation root vouches for that key of that agent. */
function isKnown(roster: Roster, agentId: string, identityKey: string): boolean {
  return roster.member(agentId)?.identityKey === identityKey;
}

/** SECAGG_STAGE_PASSED: what the stage needs is not held. */
export const passed = (problem: string): TributaryError =>
  new TributaryError('SECAGG_STAGE_PASSED', `secure aggregation: ${problem}`);
