import { LIMITS } from '@tributary/proto';

import type { FederationState, JobState } from './federation-state.js';
import { isFinished, nextInQueue, nextModelVersion, turnHolder } from './job-queue.js';
import { retryDelayMs } from './rounds/aggregation-mode.js';
import { awaitsEvaluation, isTrained, nextAttempt, nextRound } from './rounds/next-round.js';
import { isUnfinished, openStage, stageOutcome } from './rounds/round-progress.js';
import type { RoundState } from './rounds/round-state.js';
import { isEnough, readyMembers } from './selection.js';
import { nextReturn, absentSites } from './site-readiness.js';

/** What the runner sees outside the ledger. */
export interface Observed {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** When this process began to drive jobs: sites come back after that. Milliseconds since the epoch. */
  readonly since: number;
  readonly connectedSites: ReadonlySet<string>;
  /** Those of them whose agents know secure aggregation. */
  readonly secureSites: ReadonlySet<string>;
}

interface OfRound {
  readonly jobId: string;
  readonly round: number;
  readonly attempt: number;
}

/** The single next thing that the runner does; every kind but `wait` ends in a command that changes the state. */
export type NextStep =
  /** Initialise the model unless `job.base` holds one, then `start-job`. */
  | { readonly kind: 'start-job'; readonly jobId: string }
  /** Draw round key and seed, then `open-round`. */
  | ({ readonly kind: 'open-round' } & OfRound)
  | ({ readonly kind: 'close-stage'; readonly stage: string } & OfRound)
  | ({
      readonly kind: 'fail-round';
      readonly code: 'ROUND_UNDERSUBSCRIBED' | 'JOB_DEADLINE';
      readonly detail: string;
    } & OfRound)
  /** Finish the sum, store the model, then `commit-round`. */
  | ({ readonly kind: 'commit-round' } & OfRound)
  /** Store manifest, sign, then `register-model` with this version. */
  | { readonly kind: 'register-model'; readonly jobId: string; readonly version: number }
  | { readonly kind: 'complete-job'; readonly jobId: string }
  | {
      readonly kind: 'fail-job';
      readonly jobId: string;
      readonly code: 'JOB_DEADLINE' | 'JOB_RETRIES_EXHAUSTED';
      readonly detail: string;
    }
  /** The time to live after the end is over. */
  | { readonly kind: 'delete-job'; readonly name: string }
  | Wait;

/** Nothing until the state or the connections change, or until `untilMs` (since the epoch) where given. */
interface Wait {
  readonly kind: 'wait';
  readonly untilMs?: number;
}

/**
 * What the runner does next, judged from the state alone and not from what led to it: after a restart the answer is the
 * same, so the work goes on where the ledger says it stands.
 */
export function nextStep(state: FederationState, observed: Observed): NextStep {
  const waits: number[] = [];
  for (const step of candidates(state, observed)) {
    if (step.kind !== 'wait') return step;
    if (step.untilMs !== undefined) waits.push(step.untilMs);
  }
  return waits.length === 0 ? { kind: 'wait' } : { kind: 'wait', untilMs: Math.min(...waits) };
}

/** The steps that are due or awaited, the most urgent first. */
function* candidates(state: FederationState, observed: Observed): Generator<NextStep> {
  const holder = turnHolder(state);
  if (holder !== undefined) yield* jobSteps(state, holder, observed);
  for (const job of state.jobs.values()) {
    if (isFinished(job)) yield expiry(job, observed.now);
    // A job whose last round ended while it was suspended is done; it needs no turn to be completed.
    else if (job !== holder && isDone(job)) yield completion(state, job);
  }
  const next = nextInQueue(state);
  if (holder === undefined && next !== undefined) yield { kind: 'start-job', jobId: next.jobId };
}

function* jobSteps(state: FederationState, job: JobState, observed: Observed): Generator<NextStep> {
  const { jobId } = job;
  if (job.phase === 'Queued') yield { kind: 'start-job', jobId };
  yield activeDeadline(state, job, observed.now);
  if (isUnfinished(job.round)) yield roundStep(job.round, observed.now);
  else if (isDone(job)) yield completion(state, job);
  else yield openingStep(state, job, observed);
}

/**
 * The active time of a job counts while it has its turn; suspension stops it, and a resumed job begins anew. A job that
 * has made its model does not fail for it: it goes without having it measured.
 */
function activeDeadline(state: FederationState, job: JobState, now: number): NextStep {
  const { jobId, phase, activeSince, settings, round } = job;
  if (phase !== 'Running' || activeSince === undefined) return { kind: 'wait' };
  const untilMs = activeSince + settings.activeDeadlineSeconds * 1_000;
  if (now < untilMs) return { kind: 'wait', untilMs };
  const detail = `the job ran longer than ${String(settings.activeDeadlineSeconds)} seconds`;
  if (!isTrained(job)) return { kind: 'fail-job', jobId, code: 'JOB_DEADLINE', detail };
  if (!isUnfinished(round)) return completion(state, job);
  const of = { jobId, round: round.round, attempt: round.attempt };
  return { kind: 'fail-round', ...of, code: 'JOB_DEADLINE', detail };
}

function roundStep(round: RoundState, now: number): NextStep {
  const of = { jobId: round.jobId, round: round.round, attempt: round.attempt };
  const stage = openStage(round);
  if (stage === undefined) return { kind: 'commit-round', ...of };
  const outcome = stageOutcome(round, stage, now);
  switch (outcome.kind) {
    case 'open':
      return { kind: 'wait', untilMs: outcome.deadlineAt };
    case 'close':
      return { kind: 'close-stage', ...of, stage: stage.name };
    case 'undersubscribed':
      return { kind: 'fail-round', ...of, code: 'ROUND_UNDERSUBSCRIBED', detail: outcome.detail };
  }
}

function openingStep(state: FederationState, job: JobState, observed: Observed): NextStep {
  const { now, connectedSites, secureSites } = observed;
  const { jobId, failedAttempts, lastFailure, document } = job;
  const { spec } = document;
  const { round, kind } = nextRound(job);
  if (failedAttempts > LIMITS.roundRetries) {
    const last =
      lastFailure === undefined ? '' : `; the last time: ${lastFailure.code}: ${lastFailure.detail}`;
    const detail = `round ${String(round)} failed ${String(failedAttempts)} times${last}`;
    return { kind: 'fail-job', jobId, code: 'JOB_RETRIES_EXHAUSTED', detail };
  }
  if (job.phase !== 'Running') return { kind: 'wait' };
  const untilMs = (job.round?.closedAt ?? 0) + retryDelayMs(failedAttempts);
  if (failedAttempts > 0 && now < untilMs) return { kind: 'wait', untilMs };
  const sites = spec.privacy.secureAggregation ? secureSites : connectedSites;
  if (isEnough(spec, readyMembers(state, spec, sites, absentSites(job, now))))
    return { kind: 'open-round', jobId, round, attempt: nextAttempt(job) };
  if (kind === 'Evaluation') return withoutSites(state, job, observed);
  const returns = nextReturn(job, now);
  return returns === undefined ? { kind: 'wait' } : { kind: 'wait', untilMs: returns };
}

/** A model that is made waits for sites to measure it as long as a round may take, and no longer. */
function withoutSites(state: FederationState, job: JobState, { now, since }: Observed): NextStep {
  const { round, activeSince = 0, document } = job;
  const from = Math.max(round?.closedAt ?? 0, activeSince, since);
  const untilMs = from + document.spec.roundDeadlineSeconds * 1_000;
  return now < untilMs ? { kind: 'wait', untilMs } : completion(state, job);
}

/** Nothing is left to do but to register the model and to complete the job. */
function isDone(job: JobState): boolean {
  return isTrained(job) && !awaitsEvaluation(job);
}

/** The next step towards the end of a job whose model is made. */
export function completion(state: FederationState, { jobId, model, document }: JobState): NextStep {
  if (model !== undefined) return { kind: 'complete-job', jobId };
  return { kind: 'register-model', jobId, version: nextModelVersion(state, document.spec.model.name) };
}

function expiry({ name, finishedAt = 0, settings }: JobState, now: number): NextStep {
  const { ttlSecondsAfterFinished } = settings;
  if (ttlSecondsAfterFinished === 0) return { kind: 'wait' };
  const untilMs = finishedAt + ttlSecondsAfterFinished * 1_000;
  return now < untilMs ? { kind: 'wait', untilMs } : { kind: 'delete-job', name };
}
