import {
  decodeBase64,
  diffMutable,
  LIMITS,
  parseCanonical,
  parseFederatedJob,
  TributaryError,
  verifyDocument,
  type FederatedJob,
  type JsonObject,
  type JsonValue,
  type MutableChanges,
  type NewEntry,
} from '@tributary/proto';

import type {
  CancelJob,
  CompleteJob,
  ConfigureJob,
  DeleteJob,
  FailJob,
  JobCommand,
  ResumeJob,
  StartJob,
  SubmitJob,
  SuspendJob,
} from './command.js';
import type { FederationState, JobSettings, JobState } from './federation-state.js';
import { findJob, isFinished, nextInQueue, requireJob, turnHolder } from './job-queue.js';
import { failRound, requireCode, shortDetail } from './rounds/round-decisions.js';
import { isUnfinished } from './rounds/round-progress.js';

/** Decides what a command means for the queue of jobs. */
export function decideJob(state: FederationState, command: JobCommand): readonly NewEntry[] {
  switch (command.kind) {
    case 'submit-job':
      return submit(state, command);
    case 'configure-job':
      return configure(state, command);
    case 'suspend-job':
      return suspend(state, command);
    case 'resume-job':
      return resume(state, command);
    case 'cancel-job':
      return cancel(state, command);
    case 'delete-job':
      return remove(state, command);
    case 'start-job':
      return start(state, command);
    case 'complete-job':
      return complete(state, command);
    case 'fail-job':
      return fail(state, command);
  }
}

/** The job of that id; throws NOT_FOUND. */
export function requireJobId(state: FederationState, jobId: string): JobState {
  const job = state.jobs.get(jobId);
  if (job !== undefined) return job;
  throw new TributaryError('NOT_FOUND', 'no job of that id exists, or it was deleted');
}

function submit(state: FederationState, command: SubmitJob): readonly NewEntry[] {
  const { actor, jobId, authorKey, signature } = command;
  const written = parseCanonical(new TextEncoder().encode(command.document), LIMITS.documentBytes);
  const document = parseFederatedJob(written);
  const key = decodeBase64(authorKey, 'author_key', 32);
  verifyDocument(requireObject(written), key, decodeBase64(signature, 'signature', 64));
  const existing = findJob(state, document.metadata.name);
  if (existing !== undefined) return reapply(existing, document, command);
  const open = [...state.jobs.values()].filter((job) => !isFinished(job)).length;
  if (open >= LIMITS.openJobs) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `at most ${String(LIMITS.openJobs)} jobs wait or run; cancel some`,
    );
  }
  requireKnownSite(state, document);
  if (state.jobs.has(jobId)) throw new TributaryError('ALREADY_EXISTS', 'a job of that id exists');
  const body = { jobId, name: document.metadata.name, document: command.document, authorKey, signature };
  return [{ type: 'job.submitted', actor, subject: `job/${jobId}`, body }];
}

/** A misspelt name would train on every site and report nothing. */
function requireKnownSite({ sites }: FederationState, { spec }: FederatedJob): void {
  const { holdOutSite } = spec.evaluation;
  if (holdOutSite === undefined || sites.has(holdOutSite)) return;
  throw new TributaryError(
    'DOCUMENT_INVALID',
    `spec.evaluation.holdOutSite: there is no site ${holdOutSite}`,
    {
      hint: 'Name a site that `tributary get sites` lists.',
      fields: { field: 'spec.evaluation.holdOutSite' },
    },
  );
}

/** The same document again changes nothing; other values of what may change are taken over. */
function reapply(
  job: JobState,
  document: FederatedJob,
  { actor, authorKey }: SubmitJob,
): readonly NewEntry[] {
  const current = { ...job.document, spec: { ...job.document.spec, ...job.settings } };
  const changes = diffMutable(current, document);
  if (authorKey !== job.authorKey) {
    throw new TributaryError(
      'ALREADY_EXISTS',
      `a job ${job.name} by another author exists; use another metadata.name`,
    );
  }
  const entries = [...configured(job, changes, actor)];
  const isSuspended = job.phase === 'Suspended';
  if (!isFinished(job) && document.spec.suspend !== isSuspended) {
    entries.push(suspension(job, document.spec.suspend, actor, 'spec.suspend'));
  }
  return entries;
}

function configure(state: FederationState, command: ConfigureJob): readonly NewEntry[] {
  const job = requireJob(state, command.name);
  const { activeDeadlineSeconds, ttlSecondsAfterFinished } = {
    ...job.settings,
    ...withoutUndefined(command),
  };
  // The schema of the document judges the values, as it does when they are applied.
  const spec = { ...job.document.spec, activeDeadlineSeconds, ttlSecondsAfterFinished };
  const next = parseFederatedJob({ ...job.document, spec });
  return configured(job, settingsChanges(job.settings, next.spec), command.actor);
}

function withoutUndefined({
  activeDeadlineSeconds,
  ttlSecondsAfterFinished,
}: ConfigureJob): Partial<JobSettings> {
  return {
    ...(activeDeadlineSeconds === undefined ? {} : { activeDeadlineSeconds }),
    ...(ttlSecondsAfterFinished === undefined ? {} : { ttlSecondsAfterFinished }),
  };
}

function settingsChanges(current: JobSettings, next: JobSettings): MutableChanges {
  return Object.fromEntries(
    (['activeDeadlineSeconds', 'ttlSecondsAfterFinished'] as const)
      .filter((field) => current[field] !== next[field])
      .map((field) => [field, next[field]]),
  );
}

function configured({ jobId }: JobState, changes: MutableChanges, actor: string): readonly NewEntry[] {
  const { suspend: _, ...values } = changes;
  if (Object.keys(values).length === 0) return [];
  return [{ type: 'job.configured', actor, subject: `job/${jobId}`, body: { jobId, ...values } }];
}

function suspension({ jobId }: JobState, suspended: boolean, actor: string, reason: string): NewEntry {
  const subject = `job/${jobId}`;
  if (!suspended) return { type: 'job.resumed', actor, subject, body: { jobId } };
  return { type: 'job.suspended', actor, subject, body: { jobId, reason: shortDetail(reason) } };
}

function suspend(state: FederationState, { name, actor, reason }: SuspendJob): readonly NewEntry[] {
  const job = requireUnfinished(requireJob(state, name));
  return job.phase === 'Suspended' ? [] : [suspension(job, true, actor, reason)];
}

function resume(state: FederationState, { name, actor }: ResumeJob): readonly NewEntry[] {
  const job = requireUnfinished(requireJob(state, name));
  return job.phase === 'Suspended' ? [suspension(job, false, actor, '')] : [];
}

function cancel(state: FederationState, { name, actor, reason }: CancelJob): readonly NewEntry[] {
  const job = requireJob(state, name);
  if (job.phase === 'Failed' && job.lastFailure?.code === 'JOB_CANCELLED') return [];
  return failJob(requireUnfinished(job), actor, 'JOB_CANCELLED', reason);
}

/** Deleting an unfinished job cancels it first, so that its sites are told. */
function remove(state: FederationState, { name, actor }: DeleteJob): readonly NewEntry[] {
  const job = requireJob(state, name);
  const { jobId } = job;
  const ended = isFinished(job) ? [] : failJob(job, actor, 'JOB_CANCELLED', 'the job was deleted');
  return [...ended, { type: 'job.deleted', actor, subject: `job/${jobId}`, body: { jobId, name } }];
}

function start(state: FederationState, command: StartJob): readonly NewEntry[] {
  const { actor, jobId, layoutDigest, modelDigest, parameters } = command;
  const job = requireJobId(state, jobId);
  const goesOn = continues(job, command);
  if (job.phase === 'Running' && goesOn) return [];
  if (job.base !== undefined && !goesOn) throw conflict('a resumed job goes on from the model that it had');
  if (job.phase !== 'Queued') throw conflict(`the job is ${job.phase}`);
  if ((turnHolder(state) ?? nextInQueue(state))?.jobId !== jobId)
    throw conflict('it is the turn of another job');
  if (!(parameters >= 1 && parameters <= LIMITS.modelParameters)) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `a model has 1 to ${String(LIMITS.modelParameters)} parameters`,
    );
  }
  const body = { jobId, layoutDigest, modelDigest, parameters };
  return [{ type: 'job.started', actor, subject: `job/${jobId}`, body }];
}

function continues({ base }: JobState, { layoutDigest, modelDigest }: StartJob): boolean {
  return base?.modelDigest === modelDigest && base.layoutDigest === layoutDigest;
}

function complete(state: FederationState, { actor, jobId }: CompleteJob): readonly NewEntry[] {
  const job = requireJobId(state, jobId);
  if (job.phase === 'Complete') return [];
  requireUnfinished(job);
  if (job.model === undefined) throw conflict('the job has registered no model yet');
  const body = { jobId, model: job.model.name, version: job.model.version };
  return [{ type: 'job.completed', actor, subject: `job/${jobId}`, body }];
}

function fail(state: FederationState, { actor, jobId, code, detail }: FailJob): readonly NewEntry[] {
  const job = requireJobId(state, jobId);
  if (job.phase === 'Failed' && job.lastFailure?.code === code) return [];
  return failJob(requireUnfinished(job), actor, code, detail);
}

/** The end of a job, after that of its open round. */
function failJob(job: JobState, actor: string, code: string, detail: string): readonly NewEntry[] {
  const { jobId, round } = job;
  const ended = isUnfinished(round) ? failRound(round, { actor, code, detail }) : [];
  const body = { jobId, code: requireCode(code), detail: shortDetail(detail) };
  return [...ended, { type: 'job.failed', actor, subject: `job/${jobId}`, body }];
}

function requireUnfinished(job: JobState): JobState {
  if (!isFinished(job)) return job;
  throw conflict(`the job ${job.name} has ended (${job.phase})`);
}

function requireObject(value: JsonValue): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new TributaryError('DOCUMENT_INVALID', 'the document is no mapping');
}

function conflict(message: string): TributaryError {
  return new TributaryError('CONFLICT', message);
}
