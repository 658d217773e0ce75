import {
  digestSchema,
  encodeBase64,
  isId,
  LIMITS,
  parseFederatedJob,
  requireSignature,
  TributaryError,
  type Digest,
  type FederatedJob,
  type SigningKey,
  type SitePolicySpec,
} from '@tributary/proto';
import { z } from 'zod';

import { jobColumns } from '../domain/datasets/job-columns.js';
import type { JobDecisionNote } from '../domain/decision.js';
import type { OpenedRound } from '../domain/order.js';
import type { SiteDecision } from '../domain/policy.js';
import {
  approverNamed,
  decisionInForce,
  decisionTranscript,
  type DecisionMaker,
} from '../domain/site-decision.js';
import type { Clock, SignedJobDecision, StateStore } from '../ports.js';
import { bytesField, decodeRecord, encodeRecord } from './records.js';

const JOBS = 'job/';

const decisionSchema = z.strictObject({
  decision: z.enum(['Approved', 'Rejected']),
  approverName: z.string(),
  approverKey: bytesField(32),
  decidedAt: z.string(),
  signature: bytesField(64),
  siteSignature: bytesField(64),
});

const jobSchema = z.strictObject({
  jobId: z.string(),
  jobDigest: digestSchema,
  /** The text that the author signed, in base64: as JSON in JSON it could outgrow a record. */
  document: bytesField(),
  authorKey: z.string(),
  parameters: z.int().nonnegative(),
  cohort: z.int().nonnegative(),
  /** Milliseconds: when the first order of it was verified. */
  seenAt: z.int(),
  /** Entry that ended it. */
  ended: z.string().optional(),
  decision: decisionSchema.optional(),
});

type StoredJob = z.output<typeof jobSchema>;

/** A job that the site knows, for its people. */
export interface JobView {
  readonly job: string;
  readonly jobId: string;
  readonly jobDigest: Digest;
  readonly state: 'Waits' | 'Approved' | 'Rejected' | 'Automatic' | 'Ended';
  /** Name of the author by the policy; empty where it lists no such key. */
  readonly author: string;
  readonly authorKey: string;
  readonly dataset: string;
  readonly columns: readonly string[];
  readonly rounds: number;
  readonly parameters: number;
  /** RFC 3339. */
  readonly seen: string;
  readonly approver?: string;
}

/** What was proven about a job when its newest order came. */
export interface KnownJob {
  readonly jobId: string;
  readonly jobDigest: Digest;
  readonly document: FederatedJob;
  readonly authorKey: string;
  readonly parameters: number;
  readonly cohort: number;
}

/** A decision that somebody else's key has signed already. */
export interface ForeignDecision {
  readonly approverKey: Uint8Array;
  readonly decidedAt: string;
  readonly signature: Uint8Array;
}

export interface SiteJobsParts {
  readonly store: StateStore;
  readonly maker: Omit<DecisionMaker, 'identityKey'>;
  readonly identity: SigningKey;
  readonly clock: Clock;
  /** Writes a line of the site's own log. */
  readonly noted: (note: JobDecisionNote) => Promise<void>;
  /** Tells the coordinator, where there is a connection; it is told again after the next welcome. */
  readonly tell: (decision: SignedJobDecision) => void;
}

type ApprovalRule = Pick<SitePolicySpec, 'approval' | 'authors'>;

/** The jobs whose orders have come, and what the site has decided about them. */
export class SiteJobs {
  readonly #parts: SiteJobsParts;
  readonly #maker: DecisionMaker;
  readonly #jobs: Map<string, StoredJob>;

  private constructor(parts: SiteJobsParts, jobs: Map<string, StoredJob>) {
    this.#parts = parts;
    this.#maker = { ...parts.maker, identityKey: parts.identity.publicKey };
    this.#jobs = jobs;
  }

  static async open(parts: SiteJobsParts): Promise<SiteJobs> {
    const jobs: StoredJob[] = [];
    for await (const { key, value } of parts.store.list(JOBS)) jobs.push(decodeRecord(key, value, jobSchema));
    jobs.sort((a, b) => a.seenAt - b.seenAt);
    return new SiteJobs(parts, new Map(jobs.map((job) => [job.jobId, job])));
  }

  /** A verified order: from here on people can decide about its job. Durable when it resolves. */
  async seen({ jobId, jobDigest, document, authorKey, model, opened }: OpenedRound): Promise<void> {
    const known = this.#jobs.get(jobId);
    const cohort = opened.cohort.length;
    if (known?.jobDigest === jobDigest && known.cohort === cohort) return;
    const { decision } = known ?? {};
    await this.#keep({
      jobId,
      jobDigest,
      document: new TextEncoder().encode(document),
      authorKey,
      parameters: model.length,
      cohort,
      seenAt: known?.seenAt ?? this.#parts.clock.now(),
      ...(decision === undefined ? {} : { decision }),
    });
    await this.#forgetOldest();
  }

  /** No round of the job follows. */
  async ended(jobId: string, how: string): Promise<void> {
    const job = this.#jobs.get(jobId);
    if (job !== undefined && job.ended === undefined) await this.#keep({ ...job, ended: how });
  }

  /** Whether no round of it follows; false where the site knows nothing of the job. */
  hasEnded(jobId: string): boolean {
    return this.#jobs.get(jobId)?.ended !== undefined;
  }

  /** What counts under the policy, for the document of the order. */
  decisionOn(
    policy: Pick<SitePolicySpec, 'approval'>,
    job: Pick<SignedJobDecision, 'jobId' | 'jobDigest'>,
  ): SiteDecision {
    return decisionInForce(policy, this.#maker, job, signedOf(this.#jobs.get(job.jobId)));
  }

  /**
   * The site decides, by its agent's key or by that of an approver who has signed it. Durable and in the log when it
   * resolves. Rejects with NOT_FOUND for an unknown job, CONFLICT for one that has ended, PERMISSION_DENIED where the
   * policy does not list the key, SIGNATURE_INVALID.
   */
  async decide(
    policy: ApprovalRule | undefined,
    name: string,
    decision: 'Approved' | 'Rejected',
    foreign?: ForeignDecision,
  ): Promise<JobView> {
    const stored = this.#named(name);
    if (stored.ended !== undefined) throw new TributaryError('CONFLICT', `the job ${name} has ended`);
    if (policy === undefined)
      throw new TributaryError('POLICY_MISSING', 'without a policy nobody can decide about jobs');
    const signed = this.#sign(policy, stored, decision, foreign);
    const { jobId, jobDigest, decidedAt, approverName } = signed;
    await this.#parts.noted({
      type: 'JobDecision',
      time: decidedAt,
      jobId,
      job: jobOf(stored).metadata.name,
      jobDigest,
      decision,
      approver: approverName,
      approverKey: encodeBase64(signed.approverKey),
      signature: encodeBase64(signed.signature),
      siteSignature: encodeBase64(signed.siteSignature),
    });
    const { jobId: _, jobDigest: __, ...kept } = signed;
    const next = { ...stored, decision: kept };
    await this.#keep(next);
    this.#parts.tell(signed);
    return this.#view(next, policy);
  }

  /** Everything that the coordinator may not know yet: decisions about jobs that have not ended. */
  untold(): readonly SignedJobDecision[] {
    return [...this.#jobs.values()].flatMap((job) => {
      const signed = job.ended === undefined ? signedOf(job) : undefined;
      return signed === undefined ? [] : [signed];
    });
  }

  /** Oldest first. */
  list(policy: ApprovalRule | undefined): readonly JobView[] {
    return [...this.#jobs.values()].map((job) => this.#view(job, policy));
  }

  /** The job of that name or id. Throws NOT_FOUND. */
  known(name: string): KnownJob {
    const job = this.#named(name);
    const { jobId, jobDigest, authorKey, parameters, cohort } = job;
    return { jobId, jobDigest, authorKey, parameters, cohort, document: jobOf(job) };
  }

  /** Name and digest of a job by its id. */
  find(
    jobId: string,
  ): { readonly jobId: string; readonly job: string; readonly jobDigest: Digest } | undefined {
    const job = this.#jobs.get(jobId);
    return job && { jobId, job: jobOf(job).metadata.name, jobDigest: job.jobDigest };
  }

  #sign(
    policy: ApprovalRule,
    { jobId, jobDigest }: StoredJob,
    decision: 'Approved' | 'Rejected',
    foreign: ForeignDecision | undefined,
  ): SignedJobDecision {
    const { identity, clock } = this.#parts;
    const approverKey = foreign?.approverKey ?? identity.publicKey;
    const approverName = approverNamed(policy, this.#maker, approverKey);
    if (approverName === undefined)
      throw new TributaryError(
        'PERMISSION_DENIED',
        'the policy does not list this approver (spec.approval)',
        {
          hint: 'approve with --key FILE, the key of somebody in spec.approval.approvers',
        },
      );
    const decidedAt = foreign?.decidedAt ?? new Date(clock.now()).toISOString();
    const statement = decisionTranscript(this.#maker, {
      ...{ jobId, jobDigest, decision, approverKey, decidedAt },
    });
    if (foreign !== undefined)
      requireSignature(approverKey, statement, foreign.signature, 'the decision of the approver');
    const siteSignature = identity.sign(statement);
    const signature = foreign?.signature ?? siteSignature;
    return { jobId, jobDigest, decision, approverName, approverKey, decidedAt, signature, siteSignature };
  }

  /** By id, or the newest of that name that has not ended, or the newest one. */
  #named(name: string): StoredJob {
    const jobs = [...this.#jobs.values()];
    const named = isId(name, 'job')
      ? jobs.filter(({ jobId }) => jobId === name)
      : jobs.filter((job) => jobOf(job).metadata.name === name);
    const found = named.findLast(({ ended }) => ended === undefined) ?? named.at(-1);
    if (found !== undefined) return found;
    throw new TributaryError('NOT_FOUND', `the site has seen no order of a job ${name.slice(0, 64)}`, {
      hint: 'list the jobs with `tributary-agent jobs`; one shows up with its first order',
    });
  }

  #view(stored: StoredJob, policy: ApprovalRule | undefined): JobView {
    const { jobId, jobDigest, authorKey, parameters, seenAt, decision } = stored;
    const { metadata, spec } = jobOf(stored);
    return {
      job: metadata.name,
      jobId,
      jobDigest,
      state: this.#stateOf(stored, policy),
      author: policy?.authors.find(({ key }) => key === authorKey)?.name ?? '',
      authorKey,
      dataset: spec.dataset.name,
      columns: jobColumns(spec),
      rounds: spec.rounds,
      parameters,
      seen: new Date(seenAt).toISOString(),
      ...(decision === undefined ? {} : { approver: decision.approverName }),
    };
  }

  #stateOf(stored: StoredJob, policy: ApprovalRule | undefined): JobView['state'] {
    if (stored.ended !== undefined) return 'Ended';
    if (policy === undefined) return 'Waits';
    const decided = this.decisionOn(policy, stored);
    if (decided !== 'None') return decided;
    return policy.approval.type === 'Automatic' ? 'Automatic' : 'Waits';
  }

  async #keep(job: StoredJob): Promise<void> {
    const { document, decision, ...fields } = job;
    const kept = decision && {
      ...decision,
      approverKey: encodeBase64(decision.approverKey),
      signature: encodeBase64(decision.signature),
      siteSignature: encodeBase64(decision.siteSignature),
    };
    await this.#parts.store.put({
      [JOBS + job.jobId]: encodeRecord({
        ...fields,
        document: encodeBase64(document),
        ...(kept === undefined ? {} : { decision: kept }),
      }),
    });
    this.#jobs.set(job.jobId, job);
  }

  /** Those that have ended go first; the log keeps what was decided. */
  async #forgetOldest(): Promise<void> {
    if (this.#jobs.size <= LIMITS.siteJobs) return;
    const jobs = [...this.#jobs.values()];
    const oldest = jobs.find(({ ended }) => ended !== undefined) ?? jobs[0];
    if (oldest === undefined) return;
    this.#jobs.delete(oldest.jobId);
    await this.#parts.store.put({ [JOBS + oldest.jobId]: undefined });
  }
}

function signedOf(job: StoredJob | undefined): SignedJobDecision | undefined {
  if (job?.decision === undefined) return undefined;
  const { jobId, jobDigest, decision } = job;
  return { jobId, jobDigest, ...decision };
}

const jobOf = ({ document }: StoredJob): FederatedJob =>
  parseFederatedJob(JSON.parse(new TextDecoder().decode(document)));
