import type { FederatedJobSpec } from '../documents/federated-job.js';
import { statisticsNorm } from '../features/statistics.js';
import { tailShapeOf, type TailShape } from '../metrics/evaluation-groups.js';
import type { UpdateBounds } from './update-vector.js';

/** What a round is for: one of statistics comes before the rounds that train. */
export type RoundKind = 'Training' | 'Statistics';

/** What the vectors of a round are like besides their delta. */
export interface RoundVectors {
  readonly tail: TailShape;
  readonly bounds: UpdateBounds;
}

/**
 * Tail and bounds of the vectors of a round; `cohort` holds sites in the order of `round.opened`. A table of statistics
 * is bounded by what it is, and never cut below that: cut, it would be the table of other data.
 */
export function roundVectors(
  spec: Pick<FederatedJobSpec, 'features' | 'evaluation' | 'update'>,
  cohort: readonly string[],
  kind: RoundKind = 'Training',
): RoundVectors {
  const { clipNorm, weightCap } = spec.update;
  if (kind === 'Statistics') {
    // No metrics; but whoever is held out of training is held out here too, and may not weigh.
    const { holdOutSite } = spec.evaluation;
    const tail = tailShapeOf({ metrics: [], ...(holdOutSite === undefined ? {} : { holdOutSite }) }, cohort);
    return { tail, bounds: { clipNorm: statisticsNorm(spec.features), weightCap } };
  }
  return { tail: tailShapeOf(spec.evaluation, cohort), bounds: { clipNorm, weightCap } };
}
