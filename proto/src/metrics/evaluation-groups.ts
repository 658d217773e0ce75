import type { FederatedJobSpec } from '../documents/federated-job.js';

/**
 * Whose test rows a figure is about. All: of every site that trained. HeldOut: of the site that the job keeps out of
 * training. Subgroup: of every site that trained, the rows with that value. Site: of one site of the cohort.
 */
export type EvaluationGroup =
  | { readonly type: 'All' }
  | { readonly type: 'HeldOut'; readonly site: string }
  | { readonly type: 'Subgroup'; readonly column: string; readonly value: string }
  | { readonly type: 'Site'; readonly site: string };

/** What the tail of the update vectors of a round holds besides weight and loss. */
export interface TailShape {
  /** Names of the metrics in the order of the job. */
  readonly metrics: readonly string[];
  /** The group All first; only All where absent. */
  readonly groups?: readonly EvaluationGroup[];
  /** Whether a variance follows the metrics of each group. */
  readonly intervals?: boolean;
  /** False in a round in which nobody trains: the weight of every site is 0, and there is no loss. */
  readonly trains?: false;
}

const ALL: readonly EvaluationGroup[] = [{ type: 'All' }];

/** The groups of a tail, All first. */
export function groupsOf({ groups = ALL }: TailShape): readonly EvaluationGroup[] {
  return groups;
}

type Evaluation = FederatedJobSpec['evaluation'];

/**
 * The tail that the evaluation of a job and the cohort of a round make; `cohort` holds sites in the order of
 * `round.opened`. Both sides compute it, so the order of the groups is part of the wire format.
 */
export function tailShapeOf(evaluation: Evaluation, cohort: readonly string[]): TailShape {
  const { metrics, intervals = false, holdOutSite, perSite = false } = evaluation;
  const groups: readonly EvaluationGroup[] = [
    ...ALL,
    ...(holdOutSite === undefined ? [] : [{ type: 'HeldOut' as const, site: holdOutSite }]),
    ...subgroupsOf(evaluation),
    ...(perSite ? cohort.map((site) => ({ type: 'Site' as const, site })) : []),
  ];
  return {
    metrics,
    ...(groups.length > 1 ? { groups } : {}),
    ...(intervals ? { intervals } : {}),
  };
}

/** The subgroups of a job, one a value, in order. */
export function subgroupsOf({
  subgroups = [],
}: Evaluation): readonly Extract<EvaluationGroup, { type: 'Subgroup' }>[] {
  return subgroups.flatMap(({ column, values }) =>
    values.map((value) => ({ type: 'Subgroup' as const, column, value })),
  );
}

/** Half the width of a 95 % interval in standard errors: the 97.5 % quantile of the normal distribution. */
export const INTERVAL_95 = 1.959963984540054;
