import {
  LIMITS,
  requireName,
  TributaryError,
  type Digest,
  type EntryOf,
  type ErrorCode,
  type NewEntry,
} from '@tributary/proto';

import type { DecideJob, WaitRound } from './command.js';
import type { FederationState, JobState } from './federation-state.js';
import type { JobFacts } from './job-conditions.js';
import { isFinished } from './job-queue.js';
import { blamedSites } from './rounds/culprits.js';
import { shortDetail } from './rounds/round-decisions.js';
import { openStage } from './rounds/round-progress.js';
import type { MemberState, RoundState } from './rounds/round-state.js';

/** Why rounds of a job leave a site out for now. */
export interface SiteWait {
  /** Rejected: the site has said no, and may still say yes. Dataset: it has none of that name. */
  readonly reason: 'Approval' | 'Schedule' | 'Rejected' | 'Dataset';
  readonly detail: string;
  /** Milliseconds since the epoch; without it until the site has decided. */
  readonly until?: number;
}

/** What a site has decided about a job. */
export interface JobDecision {
  readonly decision: 'Approved' | 'Rejected';
  readonly approverName: string;
  readonly decidedAt: string;
  /** How often it was changed. */
  readonly changes: number;
}

/** Sites that rounds of the job leave out at `now` (milliseconds), and in words why. */
export function absentSites(
  job: Pick<JobState, 'waiting' | 'blamed'>,
  now: number,
): ReadonlyMap<string, string> {
  const waits = waitsAt(job, now).map(([site, wait]) => [site, describeWait(wait)] as const);
  return new Map([...waits, ...blamedSites(job)]);
}

function waitsAt({ waiting }: Pick<JobState, 'waiting'>, now: number): readonly [string, SiteWait][] {
  return [...(waiting ?? [])].filter(([, { until }]) => until === undefined || until > now);
}

/** When the first of the sites that wait for a time comes back; undefined where none does. */
export function nextReturn({ waiting }: Pick<JobState, 'waiting'>, now: number): number | undefined {
  const times = [...(waiting?.values() ?? [])].flatMap(({ until }) =>
    until !== undefined && until > now ? [until] : [],
  );
  return times.length === 0 ? undefined : Math.min(...times);
}

/** A member says that it is not ready: it is out of the attempt, which may have failed meanwhile, and of those to come. */
export function waitRound(round: RoundState, member: MemberState, command: WaitRound): readonly NewEntry[] {
  const isOpen = openStage(round) !== undefined || round.phase === 'Failed';
  if (!isOpen || member.fate !== 'Live' || round.updates.has(member.site)) return [];
  const { actor, jobId, round: number, attempt, reason, detail, waitMs, now } = command;
  const until =
    reason === 'Schedule' ? { until: new Date(now + boundedWait(waitMs, attempt)).toISOString() } : {};
  const body = {
    jobId,
    round: number,
    attempt,
    site: member.site,
    reason,
    detail: shortDetail(detail),
    ...until,
  };
  return [{ type: 'site.waits', actor, subject: `job/${jobId}`, body }];
}

/** Doubled with every fourth attempt at the round: a site that is never ready, or says so, fills no ledger. */
const leastWait = (attempt: number): number =>
  Math.min(LIMITS.siteWaitRepeatedMs, LIMITS.siteWaitMinMs * 2 ** Math.floor(attempt / 4));

const boundedWait = (waitMs: number, attempt: number): number =>
  Math.min(LIMITS.siteWaitMaxMs, Math.max(leastWait(attempt), waitMs));

/**
 * A site's decision about a job; the same again changes nothing. Throws NOT_FOUND, CONFLICT where the job has ended or is
 * another document, LIMIT_EXCEEDED where the site changes its mind too often.
 */
export function decideSiteJob(state: FederationState, command: DecideJob): readonly NewEntry[] {
  const { actor, jobId, agentId, decision, jobDigest, approverName, approverKey } = command;
  const job = state.jobs.get(jobId);
  const site = state.agents.get(agentId)?.site;
  if (job === undefined || site === undefined)
    throw new TributaryError('NOT_FOUND', 'no job of that id exists, or it was deleted');
  if (isFinished(job)) throw new TributaryError('CONFLICT', `the job ${job.name} has ended (${job.phase})`);
  requireSameDocument(job, jobDigest);
  const known = job.decisions?.get(site);
  if (known?.decision === decision && known.decidedAt === command.decidedAt) return [];
  requireMoreChanges(known);
  const { decidedAt, signature, siteSignature } = command;
  const body = {
    jobId,
    site,
    agentId,
    jobDigest,
    approverName: requireName(approverName, 'approverName'),
    approverKey,
    decidedAt,
    signature,
    siteSignature,
  };
  const type = decision === 'Approved' ? 'job.approved' : 'job.rejected';
  return [{ type, actor, subject: `job/${jobId}`, body }];
}

function requireMoreChanges(known: JobDecision | undefined): void {
  if (known === undefined || known.changes < LIMITS.siteDecisions) return;
  throw new TributaryError(
    'LIMIT_EXCEEDED',
    `a site decides about a job at most ${String(LIMITS.siteDecisions)} times`,
  );
}

function requireSameDocument({ documentDigest }: JobState, jobDigest: Digest): void {
  if (documentDigest === undefined || documentDigest === jobDigest) return;
  throw new TributaryError('CONFLICT', 'the decision is about another document than that of the job');
}

/** The job after a site has decided. */
export function evolveDecision(job: JobState, entry: EntryOf<'job.approved' | 'job.rejected'>): JobFacts {
  const { site, approverName, decidedAt } = entry.body;
  const approved = entry.type === 'job.approved';
  const waiting = new Map(job.waiting);
  if (approved) waiting.delete(site);
  else waiting.set(site, { reason: 'Rejected', detail: `${approverName} has rejected the job` });
  const changes = (job.decisions?.get(site)?.changes ?? 0) + 1;
  const decision = approved ? ('Approved' as const) : ('Rejected' as const);
  const decisions = new Map(job.decisions).set(site, { decision, approverName, decidedAt, changes });
  return { ...job, waiting, decisions };
}

/** The job after a site has said that it is not ready. */
export function evolveWait(job: JobState, entry: EntryOf<'site.waits'>): JobFacts {
  const { site, reason, detail, until } = entry.body;
  const ends = until === undefined ? {} : { until: Date.parse(until) };
  return { ...job, waiting: new Map(job.waiting).set(site, { reason, detail, ...ends }) };
}

/** The job after a site was out of an attempt: one that lacks the dataset would be out of the next one, too. */
export function evolveDecline(job: JobState, entry: EntryOf<'site.declined'>): JobFacts {
  const { site, code, detail } = entry.body;
  if (code !== LACKS_DATASET) return job;
  const until = Date.parse(entry.time) + LIMITS.siteDatasetMs;
  return { ...job, waiting: new Map(job.waiting).set(site, { reason: 'Dataset', detail, until }) };
}

/** The jobs after a site's agent was started: what it declares may be more than before. */
export function askAgain(jobs: FederationState['jobs'], site: string): FederationState['jobs'] {
  const next = new Map(jobs);
  for (const [jobId, job] of jobs) {
    if (job.waiting?.get(site)?.reason !== 'Dataset') continue;
    const waiting = new Map(job.waiting);
    waiting.delete(site);
    next.set(jobId, { ...job, waiting });
  }
  return next;
}

const LACKS_DATASET: ErrorCode = 'DATASET_UNKNOWN';

/** Codes of members that leave an attempt for what they are not yet, not for what they did. */
const NOT_READY: ReadonlySet<string> = new Set<ErrorCode>(['SITE_NOT_READY', LACKS_DATASET]);

/**
 * Whether an attempt failed for nothing but sites that are not ready yet: with them enough could have reported. Such an
 * attempt does not use up the retries of the job.
 */
export function failedForWaiting(round: RoundState, at: number): boolean {
  const stage = round.stages[round.stage];
  if (stage === undefined) return false;
  const members = [...round.cohort.values()];
  const waiting = members.filter(({ fate, code = '' }) => fate === 'Declined' && NOT_READY.has(code)).length;
  const isOver = stage.deadlineAt !== undefined && at >= stage.deadlineAt;
  const others = members.filter(
    ({ fate, site }) => stage.reports.has(site) || (fate === 'Live' && !isOver),
  ).length;
  return waiting > 0 && others < stage.minimum && waiting + others >= stage.minimum;
}

/** What the sites that a job waits for are waiting for; undefined where a round has enough without them. */
export function waitReason(
  job: Pick<JobState, 'waiting'>,
  now: number,
): 'WaitingForApproval' | 'WaitingForSchedule' | undefined {
  const reasons = waitsAt(job, now).map(([, { reason }]) => reason);
  if (reasons.includes('Approval')) return 'WaitingForApproval';
  return reasons.includes('Schedule') ? 'WaitingForSchedule' : undefined;
}

function describeWait({ reason, detail, until }: SiteWait): string {
  if (reason === 'Approval') return 'has not approved the job yet';
  if (reason === 'Rejected') return 'has rejected the job';
  if (reason === 'Dataset') return `lacks the dataset: ${detail}`;
  return `does not train before ${new Date(until ?? 0).toISOString()}`;
}
