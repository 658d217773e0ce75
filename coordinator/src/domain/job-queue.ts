import { TributaryError } from '@tributary/proto';

import type { FederationState, JobState } from './federation-state.js';
import { isUnfinished } from './rounds/round-progress.js';

/** True once the job is complete or failed. */
export function isFinished({ phase }: Pick<JobState, 'phase'>): boolean {
  return phase === 'Complete' || phase === 'Failed';
}

/** The job that has the turn: the running one, or a suspended one whose open round still ends. */
export function turnHolder(state: FederationState): JobState | undefined {
  for (const job of state.jobs.values()) {
    if (job.phase === 'Running' || isUnfinished(job.round)) return job;
  }
  return undefined;
}

/** The job that gets the next turn: the one that was submitted first. */
export function nextInQueue(state: FederationState): JobState | undefined {
  for (const job of state.jobs.values()) if (job.phase === 'Queued') return job;
  return undefined;
}

/** The job of that name; names of deleted jobs are free again. */
export function findJob(state: FederationState, name: string): JobState | undefined {
  for (const job of state.jobs.values()) if (job.name === name) return job;
  return undefined;
}

/** The job of that name; throws NOT_FOUND. */
export function requireJob(state: FederationState, name: string): JobState {
  const job = findJob(state, name);
  if (job !== undefined) return job;
  throw new TributaryError('NOT_FOUND', `no FederatedJob ${JSON.stringify(name.slice(0, 64))} exists`, {
    hint: 'list the jobs with `tributary get fj`',
  });
}

/** The version that the next registration of a model has. */
export function nextModelVersion(state: FederationState, model: string): number {
  return (state.models.get(model)?.versions.at(-1)?.version ?? 0) + 1;
}
