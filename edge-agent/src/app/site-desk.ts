import { TributaryError, type Digest, type SitePolicySpec } from '@tributary/proto';

import { explainPolicy, type Finding, type PolicyFacts } from '../domain/policy.js';
import type { Clock } from '../ports.js';
import type { DecisionLog } from './decision-log.js';
import type { EgressReceipts, SignedReceipt } from './egress-receipts.js';
import type { PolicySource } from './policy-source.js';
import type { ForeignDecision, JobView, SiteJobs } from './site-jobs.js';

export interface SiteDeskParts {
  readonly jobs: SiteJobs;
  readonly receipts: EgressReceipts;
  readonly policy: PolicySource;
  readonly decisions: Pick<DecisionLog, 'policy'>;
  /** What is the same for every job. */
  readonly facts: Pick<PolicyFacts, 'logId' | 'site' | 'datasets' | 'trainer'>;
  readonly agentId: string;
  readonly clock: Clock;
}

/** A job with what every rule says of it. */
export interface Explanation {
  readonly formatVersion: 1;
  readonly job: string;
  readonly findings: readonly Finding[];
}

/** Jobs as the site's people see them, and what somebody needs in order to sign a decision elsewhere. */
export interface JobList {
  readonly formatVersion: 1;
  readonly logId: string;
  readonly site: string;
  readonly agentId: string;
  readonly jobs: readonly JobView[];
}

/** What people of the site ask of the running agent, and tell it. */
export class SiteDesk {
  readonly #parts: SiteDeskParts;

  constructor(parts: SiteDeskParts) {
    this.#parts = parts;
  }

  /** Approves or rejects a job; see SiteJobs. */
  async decide(
    name: string,
    decision: 'Approved' | 'Rejected',
    foreign: ForeignDecision | undefined,
  ): Promise<JobView> {
    const { jobs, decisions } = this.#parts;
    const { spec, digest } = await this.#policy();
    await decisions.policy(digest);
    return jobs.decide(spec, name, decision, foreign);
  }

  async list(): Promise<JobList> {
    const { facts, agentId, jobs } = this.#parts;
    const { logId, site } = facts;
    return { formatVersion: 1, logId, site, agentId, jobs: jobs.list((await this.#policy()).spec) };
  }

  /** What each rule of the policy in force says of a known job. Rejects with NOT_FOUND. */
  async explain(name: string): Promise<Explanation> {
    const { jobs, facts, clock } = this.#parts;
    const { jobId, jobDigest, document, authorKey, parameters, cohort } = jobs.known(name);
    const { spec } = await this.#policy();
    const decision = spec === undefined ? 'None' : jobs.decisionOn(spec, { jobId, jobDigest });
    const known = { ...facts, authorKey, parameters, cohort, decision, startsAt: clock.now() };
    return {
      formatVersion: 1,
      job: document.metadata.name,
      findings: explainPolicy(spec, document.spec, known),
    };
  }

  /** Rejects with NOT_FOUND for a job that the site does not know. */
  async receipt(name: string): Promise<SignedReceipt> {
    const { jobs, receipts } = this.#parts;
    const { jobId, jobDigest, document } = jobs.known(name);
    const found = await receipts.of({ jobId, jobDigest, job: document.metadata.name });
    if (found !== undefined) return found;
    throw new TributaryError('NOT_FOUND', `nothing was counted for the job ${name}`);
  }

  async #policy(): Promise<{ readonly spec: SitePolicySpec | undefined; readonly digest: Digest | '' }> {
    const policy = await this.#parts.policy.read();
    return { spec: policy?.spec, digest: policy?.digest ?? '' };
  }
}
