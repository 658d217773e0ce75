import { digestOf, parseFederatedJob, type EntryOf } from '@tributary/proto';

import type { FederationState, JobState, RoundSummary } from './federation-state.js';
import { jobConditions, type JobFacts } from './job-conditions.js';
import { blame, sitOut } from './rounds/culprits.js';
import { nextRound } from './rounds/next-round.js';
import { evolveRound, knownCode, openRound, type RoundEntry } from './rounds/round-evolution.js';
import { countSites } from './rounds/round-progress.js';
import { evolveDecision, evolveDecline, evolveWait, failedForWaiting } from './site-readiness.js';
import type { RoundState } from './rounds/round-state.js';

/** Entries that concern one job. */
export type JobEntry =
  | RoundEntry
  | EntryOf<
      | 'job.submitted'
      | 'job.configured'
      | 'job.suspended'
      | 'job.resumed'
      | 'job.approved'
      | 'job.rejected'
      | 'job.started'
      | 'job.completed'
      | 'job.failed'
      | 'job.deleted'
      | 'model.registered'
    >;

/** The jobs after an entry about one of them. */
export function evolveJobs(jobs: FederationState['jobs'], entry: JobEntry): FederationState['jobs'] {
  const { jobId } = entry.body;
  const next = new Map(jobs);
  if (entry.type === 'job.deleted') {
    next.delete(jobId);
    return next;
  }
  const job = jobs.get(jobId);
  const facts =
    entry.type === 'job.submitted' ? submitted(entry) : job === undefined ? undefined : evolveJob(job, entry);
  return facts === undefined
    ? jobs
    : next.set(jobId, judge({ ...facts, seq: entry.seq }, job, Date.parse(entry.time)));
}

/** The job with its conditions judged at `at`; those of `before` keep their times. */
export function judge(facts: JobFacts, before: JobState | undefined, at: number): JobState {
  return { ...facts, conditions: jobConditions(facts, before?.conditions ?? [], at) };
}

function submitted(entry: EntryOf<'job.submitted'>): JobFacts {
  const { jobId, name, authorKey } = entry.body;
  const document = parseFederatedJob(JSON.parse(entry.body.document));
  const { suspend, activeDeadlineSeconds, ttlSecondsAfterFinished } = document.spec;
  return {
    jobId,
    name,
    document,
    documentDigest: digestOf(new TextEncoder().encode(entry.body.document)),
    authorKey,
    settings: { suspend, activeDeadlineSeconds, ttlSecondsAfterFinished },
    generation: 1,
    phase: suspend ? 'Suspended' : 'Queued',
    submittedSeq: entry.seq,
    submittedAt: Date.parse(entry.time),
    committedRounds: 0,
    failedAttempts: 0,
    history: [],
    members: [],
    contributors: [],
    metrics: {},
    seq: entry.seq,
  };
}

type LaterEntry = Exclude<JobEntry, EntryOf<'job.submitted' | 'job.deleted'>>;

function evolveJob(job: JobState, entry: LaterEntry): JobFacts {
  switch (entry.type) {
    case 'job.configured': {
      const { activeDeadlineSeconds = job.settings.activeDeadlineSeconds } = entry.body;
      const { ttlSecondsAfterFinished = job.settings.ttlSecondsAfterFinished } = entry.body;
      const settings = { ...job.settings, activeDeadlineSeconds, ttlSecondsAfterFinished };
      return { ...job, settings, generation: job.generation + 1 };
    }
    case 'job.suspended':
      return withSuspension(job, true);
    case 'job.resumed':
      return withSuspension(job, false);
    case 'job.approved':
    case 'job.rejected':
      return evolveDecision(job, entry);
    case 'job.started':
      return started(job, entry);
    case 'job.completed':
      return { ...job, phase: 'Complete', finishedAt: Date.parse(entry.time), finishedSeq: entry.seq };
    case 'job.failed':
      return failed(job, entry);
    case 'model.registered':
      return { ...job, model: { name: entry.body.model, version: entry.body.version } };
    default:
      return evolveJobRound(job, entry);
  }
}

function withSuspension(job: JobState, suspend: boolean): JobFacts {
  const { activeSince: _, ...rest } = job;
  const changes = { generation: job.generation + 1, settings: { ...job.settings, suspend } };
  return { ...rest, ...changes, phase: suspend ? 'Suspended' : 'Queued' };
}

function started(job: JobState, entry: EntryOf<'job.started'>): JobFacts {
  const { layoutDigest, modelDigest, parameters } = entry.body;
  const base = job.base ?? { layoutDigest, parameters, initialDigest: modelDigest, modelDigest };
  return { ...job, phase: 'Running', base, startedSeq: entry.seq, activeSince: Date.parse(entry.time) };
}

function failed(job: JobState, entry: EntryOf<'job.failed'>): JobFacts {
  const { code, detail } = entry.body;
  const at = Date.parse(entry.time);
  const lastFailure = { code: knownCode(code), detail, round: nextRound(job).round, at };
  return { ...job, phase: 'Failed', finishedAt: at, finishedSeq: entry.seq, lastFailure };
}

function evolveJobRound(job: JobState, entry: RoundEntry): JobFacts {
  if (entry.type === 'round.opened') {
    const round = openRound(entry, job.document.spec.cohortSize);
    return { ...sitOut(job), round, members: union(job.members, round.cohort.keys()) };
  }
  if (job.round === undefined) return job;
  const round = evolveRound(job.round, entry);
  if (entry.type === 'round.committed') return committed({ ...blame(job, entry.body), round }, round, entry);
  if (entry.type === 'round.failed') return retried({ ...blame(job, entry.body), round }, round, entry);
  if (entry.type === 'site.declined') return evolveDecline({ ...job, round }, entry);
  if (entry.type === 'site.waits') return evolveWait({ ...job, round }, entry);
  return { ...job, round };
}

function committed(job: JobState, round: RoundState, entry: EntryOf<'round.committed'>): JobFacts {
  const { modelDigest, reporting, metrics, evaluation } = entry.body;
  const { holdOutSite } = job.document.spec.evaluation;
  const ended = {
    ...job,
    failedAttempts: 0,
    history: [...job.history, { ...summaryOf(round), modelDigest }],
  };
  const measured = evaluation === undefined ? {} : { evaluation };
  if (round.kind === 'Evaluation') return { ...ended, ...measured, metrics: { ...lossOf(job), ...metrics } };
  const contributors = union(
    job.contributors,
    reporting.filter((site) => site !== holdOutSite),
  );
  const done = { ...ended, contributors };
  if (round.kind === 'Statistics') return { ...done, statisticsDigest: modelDigest };
  return {
    ...done,
    ...measured,
    ...(job.base === undefined ? {} : { base: { ...job.base, modelDigest } }),
    committedRounds: job.committedRounds + 1,
    metrics,
  };
}

/** The training loss among the figures of a job. */
export function lossOf({ metrics: { loss } }: Pick<JobState, 'metrics'>): Readonly<Record<string, string>> {
  return loss === undefined ? {} : { loss };
}

function retried(job: JobState, round: RoundState, entry: EntryOf<'round.failed'>): JobFacts {
  const { detail } = entry.body;
  const code = knownCode(entry.body.code);
  const at = Date.parse(entry.time);
  return {
    ...job,
    failedAttempts: job.failedAttempts + (failedForWaiting(round, at) ? 0 : 1),
    history: [...job.history, { ...summaryOf(round), code }],
    lastFailure: { code, detail, round: round.round, at },
  };
}

function summaryOf(round: RoundState): RoundSummary {
  const { round: number, attempt, openedSeq, openedAt, closedSeq = openedSeq, closedAt = openedAt } = round;
  const kind = round.kind === undefined ? {} : { kind: round.kind };
  return { round: number, attempt, ...kind, openedSeq, closedSeq, openedAt, closedAt, ...countSites(round) };
}

/** Both lists without repeats, sorted. */
function union(names: readonly string[], more: Iterable<string>): readonly string[] {
  const all = new Set(names);
  const before = all.size;
  for (const name of more) all.add(name);
  return all.size === before ? names : [...all].sort();
}
