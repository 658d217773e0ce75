import type { FederatedJobSpec } from '../documents/federated-job.js';
import { statisticsLayout, statisticsNorm } from '../features/statistics.js';
import { tailShapeOf, type TailShape } from '../metrics/evaluation-groups.js';
import { EMPTY_LAYOUT, type Layout } from './layout.js';
import type { UpdateBounds } from './update-vector.js';

/**
 * What a round is for. One of statistics comes before the rounds that train; one of evaluation comes after them, and
 * measures the model that they made: each of them reports on the model that it began with.
 */
export type RoundKind = 'Training' | 'Statistics' | 'Evaluation';

type Spec = Pick<FederatedJobSpec, 'features' | 'evaluation' | 'update'>;

/** Whether a job ends with a round of evaluation. */
export function needsEvaluation({ evaluation }: Pick<Spec, 'evaluation'>): boolean {
  return evaluation.metrics.length > 0;
}

/** The part of a round's vectors before their tail: `model` is the layout of the job's model. */
export function roundLayout(
  spec: Pick<Spec, 'features'>,
  model: Layout,
  kind: RoundKind = 'Training',
): Layout {
  switch (kind) {
    case 'Training':
      return model;
    case 'Statistics':
      return statisticsLayout(spec.features);
    case 'Evaluation':
      return EMPTY_LAYOUT;
  }
}

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
  spec: Spec,
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
  const tail = tailShapeOf(spec.evaluation, cohort);
  return {
    tail: kind === 'Evaluation' ? { ...tail, trains: false } : tail,
    bounds: { clipNorm, weightCap },
  };
}
