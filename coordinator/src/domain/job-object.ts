import type { FederatedJobObject, JobCondition, JobStatus } from '@tributary/proto';

import type { FederationState, GroupReport, JobState } from './federation-state.js';
import { turnHolder } from './job-queue.js';
import type { Surroundings } from './objects.js';
import { absentSites, waitReason } from './site-readiness.js';
import { awaitsEvaluation } from './rounds/next-round.js';
import { countSites } from './rounds/round-progress.js';
import { shortageOf } from './selection.js';

/** A job as `get` shows it: the document as applied and configured, with its status. */
export function jobObject(
  state: FederationState,
  job: JobState,
  surroundings: Surroundings,
): FederatedJobObject {
  const { apiVersion, kind, metadata, spec } = job.document;
  return {
    apiVersion,
    kind,
    metadata: { ...metadata, creationTimestamp: timeOf(job.submittedAt), generation: job.generation },
    spec: { ...spec, ...job.settings },
    status: jobStatus(state, job, surroundings),
  };
}

function jobStatus(state: FederationState, job: JobState, { presence, now }: Surroundings): JobStatus {
  const { rounds } = job.document.spec;
  const { activeSince, finishedAt } = job;
  return {
    observedGeneration: job.generation,
    jobId: job.jobId,
    phase: job.phase,
    conditions: conditions(job, turnHolder(state), () => shortage(state, job, presence, now)),
    currentRound: job.committedRounds,
    rounds,
    sites: job.round === undefined ? NO_SITES : countSites(job.round),
    metrics: figures(job.metrics, job.evaluation?.[0]?.standardErrors),
    ...(job.evaluation === undefined ? {} : { evaluation: job.evaluation.map(shownGroup) }),
    ...modelReference(state, job),
    progressPercentage: Math.min(
      awaitsEvaluation(job) ? 99 : 100,
      Math.floor((100 * job.committedRounds) / rounds),
    ),
    ...(activeSince === undefined ? {} : { startTime: timeOf(activeSince) }),
    ...(finishedAt === undefined ? {} : { completionTime: timeOf(finishedAt) }),
    ...failureInfo(job),
  };
}

function shownGroup({
  metrics,
  standardErrors,
  ...group
}: GroupReport): NonNullable<JobStatus['evaluation']>[number] {
  return { ...group, metrics: figures(metrics, standardErrors) };
}

/** Named numbers by name; the first group of an evaluation is that of all rows. */
function figures(
  values: Readonly<Record<string, string>>,
  errors: Readonly<Record<string, string>> = {},
): JobStatus['metrics'] {
  return Object.entries(values)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => {
      const standardError = errors[name];
      return { name, value, ...(standardError === undefined ? {} : { standardError }) };
    });
}

const NO_SITES = { selected: 0, reporting: 0, dropped: 0, rejected: 0 } as const;

/**
 * The state judges conditions after every entry, so they always describe the newest generation. Which sites are missing
 * depends on connections too, which are not in the ledger; whose turn it is, on other jobs.
 */
function conditions(
  { conditions: judged, generation }: JobState,
  holder: JobState | undefined,
  shortage: () => Shortage | undefined,
): JobCondition[] {
  return judged.map(({ type, status, reason, message, changedAt }) => {
    const short = reason === 'WaitingForSites' ? shortage() : undefined;
    const told = reason === 'WaitingForTurn' ? waitsFor(holder) : short?.message;
    return {
      type,
      status,
      observedGeneration: generation,
      lastTransitionTime: timeOf(changedAt),
      reason: short?.reason ?? reason,
      message: (told ?? message).slice(0, 512),
    };
  });
}

const waitsFor = (holder: JobState | undefined): string | undefined =>
  holder && `fj/${holder.document.metadata.name} has the turn; this job comes after it.`;

interface Shortage {
  readonly reason: JobCondition['reason'];
  readonly message: string;
}

/** What a round lacks; sites that are not ready for this job are a reason of their own. */
function shortage(
  state: FederationState,
  job: JobState,
  presence: Surroundings['presence'],
  now: number,
): Shortage | undefined {
  const message = shortageOf(state, job.document.spec, presence, absentSites(job, now));
  return message === undefined ? undefined : { reason: waitReason(job, now) ?? 'WaitingForSites', message };
}

function modelReference(state: FederationState, { model }: JobState): Pick<JobStatus, 'modelRef'> {
  if (model === undefined) return {};
  const found = state.models.get(model.name)?.versions.find(({ version }) => version === model.version);
  return found === undefined ? {} : { modelRef: { ...model, digest: found.manifestDigest } };
}

function failureInfo({ lastFailure }: JobState): Pick<JobStatus, 'lastFailureInfo'> {
  if (lastFailure === undefined) return {};
  const { code, detail, round, at } = lastFailure;
  return { lastFailureInfo: { code, detail: detail.slice(0, 512), round, time: timeOf(at) } };
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
