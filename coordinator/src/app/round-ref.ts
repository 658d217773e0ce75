import type { FederationState, JobState } from '../domain/federation-state.js';
import type { RoundState } from '../domain/rounds/round-state.js';
import { isUnfinished } from '../domain/rounds/round-progress.js';

/** One attempt of a round of a job. */
export interface RoundRef {
  readonly jobId: string;
  readonly round: number;
  readonly attempt: number;
}

/** Name of the attempt in stores; short enough for a file, and a name of ids.ts. */
export const roundName = ({ jobId, round, attempt }: RoundRef): string =>
  `${jobId}.${String(round)}.${String(attempt)}`;

export const isSameRound = (a: RoundRef, b: RoundRef): boolean =>
  a.jobId === b.jobId && a.round === b.round && a.attempt === b.attempt;

/** The part of `of` that names the attempt. */
export const refOf = ({ jobId, round, attempt }: RoundRef): RoundRef => ({ jobId, round, attempt });

/** Jobs with a round that is open or being summed, with that round. */
export function unfinishedRounds(state: FederationState): readonly { job: JobState; round: RoundState }[] {
  return [...state.jobs.values()].flatMap((job) =>
    isUnfinished(job.round) ? [{ job, round: job.round }] : [],
  );
}

/** The attempt if the state still has it as the newest of its job. */
export function findRound(
  state: FederationState,
  ref: RoundRef,
): { job: JobState; round: RoundState } | undefined {
  const job = state.jobs.get(ref.jobId);
  return job?.round !== undefined && isSameRound(job.round, ref) ? { job, round: job.round } : undefined;
}
