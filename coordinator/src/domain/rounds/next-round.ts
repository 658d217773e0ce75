import {
  EMPTY_LAYOUT,
  emptyStatisticsDigest,
  layoutDigest,
  LIMITS,
  needsEvaluation,
  needsStatistics,
  statisticsLayout,
  type RoundKind,
} from '@tributary/proto';

import type { JobBase, JobState, RoundSummary } from '../federation-state.js';

/** True once all rounds of training are committed: the model is made. */
export function isTrained({
  committedRounds,
  document,
}: Pick<JobState, 'committedRounds' | 'document'>): boolean {
  return committedRounds >= document.spec.rounds;
}

/** The round that measured the model of the job, where one was committed. */
export function measurementOf({ history }: Pick<JobState, 'history'>): RoundSummary | undefined {
  return history.find(({ kind, modelDigest }) => kind === 'Evaluation' && modelDigest !== undefined);
}

/**
 * Whether the model of a job is made and a round is still to measure it. One that failed too often is given up: a model
 * must not be lost for want of figures about it.
 */
export function awaitsEvaluation(job: Omit<JobState, 'conditions'>): boolean {
  return (
    isTrained(job) &&
    needsEvaluation(job.document.spec) &&
    job.model === undefined &&
    measurementOf(job) === undefined &&
    job.failedAttempts <= LIMITS.roundRetries
  );
}

type Progress = Pick<JobState, 'document' | 'committedRounds' | 'statisticsDigest'>;

/**
 * Number and kind of the round that the job opens next: one of statistics, if its features ask for it, is round 0; one of
 * evaluation, if it asks for metrics, comes after the last one.
 */
export function nextRound({ document, committedRounds, statisticsDigest }: Progress): {
  readonly round: number;
  readonly kind: RoundKind;
} {
  if (statisticsDigest === undefined && needsStatistics(document.spec))
    return { round: 0, kind: 'Statistics' };
  const kind = isTrained({ committedRounds, document }) ? 'Evaluation' : 'Training';
  return { round: committedRounds + 1, kind };
}

/**
 * Number of the next attempt at the next round. Attempts that failed for sites that were not ready yet have numbers too,
 * but do not count as failed.
 */
export function nextAttempt(job: Progress & Pick<JobState, 'history'>): number {
  const last = job.history.at(-1);
  const failed = last?.round === nextRound(job).round && last.modelDigest === undefined;
  return failed ? last.attempt + 1 : 0;
}

/** What a round begins with, and how long its updates are: the model, or a table of zeros; nothing is added in an evaluation. */
export function roundBase(
  base: JobBase,
  { document }: Pick<JobState, 'document'>,
  kind: RoundKind,
): Pick<JobBase, 'modelDigest' | 'layoutDigest' | 'parameters'> {
  if (kind === 'Training') return base;
  if (kind === 'Evaluation')
    return { modelDigest: base.modelDigest, layoutDigest: layoutDigest(EMPTY_LAYOUT), parameters: 0 };
  const { features } = document.spec;
  const layout = statisticsLayout(features);
  return {
    modelDigest: emptyStatisticsDigest(features),
    layoutDigest: layoutDigest(layout),
    parameters: layout.length,
  };
}
