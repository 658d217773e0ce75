import { type Digest, type SitePolicySpec, TributaryError } from '@tributary/proto';

import type { Decision } from '../domain/decision.js';
import { verifyOrder, type OpenedRound, type OrderReader, type SettledRound } from '../domain/order.js';
import { evaluatePolicy, type PolicyVerdict } from '../domain/policy.js';
import { clip } from '../domain/redaction.js';
import type { Clock, DatasetTerms, FleetClient, RawOrder } from '../ports.js';
import type { DecisionLog } from './decision-log.js';
import type { Log } from './log.js';
import type { Outbox } from './outbox.js';
import type { Witness } from './witness.js';

/** The policy in force, read anew for every order: editing the file needs no restart. */
export interface PolicySource {
  /** Undefined where the site has none. Rejects where there is one that cannot be read. */
  read(): Promise<{ readonly spec: SitePolicySpec; readonly digest: Digest } | undefined>;
}

export interface OrderReviewParts {
  readonly reader: OrderReader;
  readonly witness: Witness;
  readonly policy: PolicySource;
  readonly outbox: Outbox;
  readonly decisions: DecisionLog;
  readonly datasets: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

/** What the site makes of an order. */
export type Review =
  | { readonly outcome: 'Allowed'; readonly round: OpenedRound; readonly terms: DatasetTerms }
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
    const { policy } = await this.#policy();
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
    const { reader, datasets, outbox, decisions } = this.#parts;
    const { policy, digest } = await this.#policy();
    const verdict =
      policy instanceof TributaryError
        ? unreadable(policy)
        : evaluatePolicy(policy, round.job.spec, {
            logId: reader.logId,
            authorKey: round.authorKey,
            parameters: round.model.length,
            site: reader.site,
            cohort: round.opened.cohort.length,
            datasets,
            // An evaluation says nothing of how the rows would change the model, and repeated it says the same.
            sentOnBase: round.opened.kind === 'Evaluation' ? 0 : await outbox.sentOnBase(round),
          });
    await decisions.record(this.#decision(orderId, round, verdict, digest));
    return verdict.allowed
      ? { outcome: 'Allowed', round, terms: verdict.terms }
      : { outcome: 'Refused', round, verdict };
  }

  async #policy(): Promise<{
    readonly policy: SitePolicySpec | TributaryError | undefined;
    readonly digest: Digest | '';
  }> {
    try {
      const policy = await this.#parts.policy.read();
      return { policy: policy?.spec, digest: policy?.digest ?? '' };
    } catch (error) {
      const policy = TributaryError.from(error);
      const { code, message: detail, hint } = policy;
      this.#parts.log.error({ code, detail, hint }, 'the policy cannot be used: every job is refused');
      return { policy, digest: '' };
    }
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

/** A policy that cannot be read allows nothing. Why it cannot is the site's affair: the log has it. */
function unreadable(error: TributaryError): Extract<PolicyVerdict, { allowed: false }> {
  return {
    allowed: false,
    code: 'POLICY_REFUSED',
    rule: 'document',
    detail: `the policy file of the site cannot be used (${error.code})`,
  };
}
