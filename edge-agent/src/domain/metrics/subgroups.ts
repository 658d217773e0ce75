import { subgroupsOf, type FederatedJobSpec, type GroupNumbers } from '@tributary/proto';

import { measure, measureVariances } from './metric-functions.js';
import { selectRows, type Predictions } from './predictions.js';

type Evaluation = FederatedJobSpec['evaluation'];

/** What a site says of its test rows. */
export interface Measured {
  readonly metrics: Readonly<Record<string, number>>;
  readonly variances?: Readonly<Record<string, number>>;
  readonly subgroups?: readonly GroupNumbers[];
}

/**
 * The figures of all test rows and of each subgroup of the job. `places` holds for each column of subgroups the place of
 * every test row among its values, or any other number. A subgroup of fewer than `minCount` rows is left out, and
 * so are others of its column where the rows outside of those that are told would be as few: from a total and its parts
 * the rest could be worked out.
 */
export function measureAll(
  evaluation: Evaluation,
  predictions: Predictions,
  places: readonly Uint16Array[],
  minCount: number,
): Measured {
  const figures = (of: Predictions) => ({
    metrics: measure(evaluation.metrics, of),
    ...(evaluation.intervals === true ? { variances: measureVariances(evaluation.metrics, of) } : {}),
  });
  if (subgroupsOf(evaluation).length === 0) return figures(predictions);
  const subgroups = rowsOf(evaluation, places);
  const told = toldSubgroups(evaluation, subgroups, predictions.labels.length, minCount);
  return {
    ...figures(predictions),
    subgroups: subgroups.map((rows, index) =>
      told.has(index)
        ? { examples: rows.length, ...figures(selectRows(predictions, rows)) }
        : { examples: 0, metrics: {} },
    ),
  };
}

/** Row numbers of each subgroup of the job, in its order. */
function rowsOf({ subgroups = [] }: Evaluation, places: readonly Uint16Array[]): readonly Uint32Array[] {
  return subgroups.flatMap(({ values }, column) => {
    const members: number[][] = values.map(() => []);
    places[column]?.forEach((place, row) => members[place]?.push(row));
    return members.map((rows) => Uint32Array.from(rows));
  });
}

/** Indices of the subgroups that may be told. */
function toldSubgroups(
  { subgroups = [] }: Evaluation,
  rows: readonly Uint32Array[],
  total: number,
  minCount: number,
): ReadonlySet<number> {
  const told = new Set<number>();
  let first = 0;
  for (const { values } of subgroups) {
    const start = first;
    first += values.length;
    const counted = values
      .map((_, index) => ({ index: start + index, count: rows[start + index]?.length ?? 0 }))
      .filter(({ count }) => count >= Math.max(1, minCount))
      .sort((left, right) => right.count - left.count);
    const rest = (): number => total - counted.reduce((sum, { count }) => sum + count, 0);
    while (counted.length > 0 && rest() > 0 && rest() < minCount) counted.pop();
    for (const { index } of counted) told.add(index);
  }
  return told;
}
