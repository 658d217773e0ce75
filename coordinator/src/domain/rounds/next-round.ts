import {
  emptyStatisticsDigest,
  layoutDigest,
  needsStatistics,
  statisticsLayout,
  type RoundKind,
} from '@tributary/proto';

import type { JobBase, JobState } from '../federation-state.js';

type Progress = Pick<JobState, 'document' | 'committedRounds' | 'statisticsDigest'>;

/** Number and kind of the round that the job opens next: one of statistics, if its features ask for it, is round 0. */
export function nextRound({ document, committedRounds, statisticsDigest }: Progress): {
  readonly round: number;
  readonly kind: RoundKind;
} {
  if (statisticsDigest === undefined && needsStatistics(document.spec))
    return { round: 0, kind: 'Statistics' };
  return { round: committedRounds + 1, kind: 'Training' };
}

/** What the updates of a round are added to: the model, or a table of zeros. */
export function roundBase(
  base: JobBase,
  { document }: Pick<JobState, 'document'>,
  kind: RoundKind,
): Pick<JobBase, 'modelDigest' | 'layoutDigest' | 'parameters'> {
  if (kind === 'Training') return base;
  const { features } = document.spec;
  const layout = statisticsLayout(features);
  return {
    modelDigest: emptyStatisticsDigest(features),
    layoutDigest: layoutDigest(layout),
    parameters: layout.length,
  };
}
