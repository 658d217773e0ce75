import {
  type Digest,
  type FederationRule,
  type Roster,
  type SitePolicySpec,
  TributaryError,
} from '@tributary/proto';

import type { Decision } from '../domain/decision.js';
import { verifyOrder, type OpenedRound, type OrderReader, type SettledRound } from '../domain/order.js';
import {
  evaluatePolicy,
  type PolicyFacts,
  type PolicyVerdict,
  type TrainingTerms,
} from '../domain/policy.js';
import { clip } from '../domain/redaction.js';
import type { RawOrder } from '../coordinator-messages.js';
import type { Clock, DatasetTerms, FleetClient } from '../ports.js';
import type { DecisionLog } from './decision-log.js';
import type { EgressCounter } from './egress-counter.js';
import type { Log } from './log.js';
import type { Membership } from './membership.js';
import type { Outbox } from './outbox.js';
import { policyInForce, type PolicySource } from './policy-source.js';
import type { SiteJobs } from './site-jobs.js';
import type { Witness } from './witness.js';

export interface OrderReviewParts {
  readonly reader: OrderReader;
  readonly witness: Witness;
  readonly policy: PolicySource;
  readonly membership: Pick<Membership, 'proveOwn'>;
  readonly outbox: Outbox;
  readonly decisions: DecisionLog;
  readonly jobs: SiteJobs;
  readonly egress: Pick<EgressCounter, 'begin'>;
  readonly trainer: PolicyFacts['trainer'];
  readonly datasets: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

/** What the site makes of an order. */
export type Review =
  | {
      readonly outcome: 'Allowed';
      readonly round: OpenedRound;
      readonly terms: DatasetTerms;
      readonly training: TrainingTerms;
      /** Whose identities count, where the policy pins a root. */
      readonly roster?: Roster;
      /** Fewest sites that the policy accepts in a sum, and what it says of whose company counts. */
      readonly minimum: number;
      readonly federation?: FederationRule;
    }
  | {
      readonly outcome: 'Refused';
      readonly round: OpenedRound;
      readonly verdict: Extract<PolicyVerdict, { allowed: false }>;
    }
  | { readonly outcome: 'Settled'; readonly settled: SettledRound };

/** Proves an order and puts it before the site's policy. */
export class OrderReview {
  readonly #parts: OrderReviewParts;

  constructor(parts: OrderReviewParts) {
    this.#parts = parts;
  }

  /** Says at the start, not at the first job, that the site has no policy or one that cannot be used. */
  async announcePolicy(): Promise<void> {
    const { policy } = await policyInForce(this.#parts, 'job');
    if (policy === undefined) this.#parts.log.warn({}, 'the site has no policy: every job is refused');
  }

  /** Rejects with PROOF_INVALID, SIGNATURE_INVALID, DOCUMENT_*, NOT_IN_COHORT; with UNAVAILABLE where it cannot tell yet. */
  async review(client: FleetClient, order: RawOrder): Promise<Review> {
    const { witness, reader } = this.#parts;
    await witness.observe(order.treeHead, (first, second) => client.consistencyProof(first, second));
    const verified = verifyOrder(reader, order);
    if (verified.kind === 'Settled') return { outcome: 'Settled', settled: verified };
    return this.#judge(order.orderId, verified);
  }

  async #judge(orderId: string, round: OpenedRound): Promise<Review> {
    const { egress, jobs, decisions } = this.#parts;
    egress.begin(round.jobId);
    await jobs.seen(round);
    const { policy, digest } = await policyInForce(this.#parts, 'job');
    await decisions.policy(digest);
    const roster =
      policy instanceof TributaryError
        ? undefined
        : await proven(policy, (rule) => this.#parts.membership.proveOwn(rule, round.evidence));
    const verdict = await this.#verdict(policy, roster, round);
    await decisions.record(this.#decision(orderId, round, verdict, digest));
    if (!verdict.allowed) return { outcome: 'Refused', round, verdict };
    const counting = roster === undefined || roster instanceof TributaryError ? {} : { roster };
    const known = policy === undefined || policy instanceof TributaryError ? undefined : policy;
    const federation = known?.federation === undefined ? {} : { federation: known.federation };
    const { terms, training } = verdict;
    return {
      outcome: 'Allowed',
      round,
      terms,
      training,
      minimum: known?.minimumCohort ?? 0,
      ...federation,
      ...counting,
    };
  }

  async #verdict(
    policy: SitePolicySpec | TributaryError | undefined,
    roster: Roster | TributaryError | undefined,
    round: OpenedRound,
  ): Promise<PolicyVerdict> {
    const { reader, datasets, outbox, jobs, trainer, clock } = this.#parts;
    if (policy instanceof TributaryError) return unreadable(policy);
    if (roster instanceof TributaryError) return unproven(roster);
    const { opened, authorKey, model, job } = round;
    return evaluatePolicy(policy, job.spec, {
      logId: reader.logId,
      authorKey,
      parameters: model.length,
      site: reader.site,
      cohort: opened.cohort.length,
      members: opened.cohort,
      ...(roster && { roster }),
      datasets,
      trainer,
      decision: policy === undefined ? 'None' : jobs.decisionOn(policy, round),
      startsAt: (await outbox.holds(round)) ? undefined : clock.now(),
      // An evaluation says nothing of how the rows would change the model, and repeated it says the same.
      sentOnBase: opened.kind === 'Evaluation' ? 0 : await outbox.sentOnBase(round),
    });
  }

  #decision(
    orderId: string,
    { opened, job, authorKey }: OpenedRound,
    verdict: PolicyVerdict,
    policyDigest: Digest | '',
  ): Decision {
    const { jobId, round, attempt } = opened;
    const said = verdict.allowed
      ? { code: '' as const, rule: '', detail: '' }
      : { code: verdict.code, rule: verdict.rule, detail: clip(verdict.detail) };
    return {
      time: new Date(this.#parts.clock.now()).toISOString(),
      orderId,
      jobId,
      round,
      attempt,
      job: job.metadata.name,
      dataset: job.spec.dataset.name,
      authorKey,
      allowed: verdict.allowed,
      ...said,
      policyDigest,
    };
  }
}

/** The roster that an order proves, where the policy demands one; why it does not count is as good as a rule. */
export async function proven(
  policy: SitePolicySpec | undefined,
  prove: (rule: FederationRule) => Promise<Roster>,
): Promise<Roster | TributaryError | undefined> {
  if (policy?.federation === undefined) return undefined;
  try {
    return await prove(policy.federation);
  } catch (cause) {
    const error = TributaryError.from(cause);
    if (error.code === 'NOT_IN_ROSTER' || error.code.startsWith('ROSTER_')) return error;
    throw error;
  }
}

/** The refusal of an order whose roster does not count. */
export function unproven(error: TributaryError): Extract<PolicyVerdict, { allowed: false }> {
  const rule = 'spec.federation.root';
  return { allowed: false, code: error.code, rule, detail: `${rule}: ${error.message}` };
}

/** A policy that cannot be read allows nothing. Why it cannot is the site's affair: the log has it. */
export function unreadable(error: TributaryError): Extract<PolicyVerdict, { allowed: false }> {
  return {
    allowed: false,
    code: 'POLICY_REFUSED',
    rule: 'document',
    detail: `the policy file of the site cannot be used (${error.code})`,
  };
}
