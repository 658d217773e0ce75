import { TributaryError, type GroupNumbers } from '@tributary/proto';

import type { TrainingResult } from '../ports.js';

/**
 * What a site may send of a result, its figures rounded to `metricDigits` significant digits where that is given: a job chooses split and batches, and figures of fewer than `minCount` rows, whether
 * weights, a loss or metrics, would be about persons. Without enough test rows the metrics are left out. Throws
 * DATASET_TOO_SMALL without enough training rows; none is enough, where a site is held out.
 */
export function tellableResult(
  given: TrainingResult,
  minCount: number,
  metricDigits?: number,
): TrainingResult {
  const result = metricDigits === undefined ? given : roundedFigures(given, metricDigits);
  if (result.examples > 0 && result.examples < minCount)
    throw new TributaryError(
      'DATASET_TOO_SMALL',
      `fewer rows train than the ${String(minCount)} that the policy of the site demands (minCount)`,
    );
  if (result.testExamples >= minCount) return result;
  const { delta, examples, loss, dataVersion } = result;
  const version = dataVersion === undefined ? {} : { dataVersion };
  return { delta, examples, loss, ...version, metrics: {}, testExamples: 0 };
}

/** Losses, metrics and variances; what cannot be rounded (NaN: undefined) stays. */
function roundedFigures(result: TrainingResult, digits: number): TrainingResult {
  const round = (value: number): number =>
    Number.isFinite(value) ? Number(value.toPrecision(digits)) : value;
  const all = (named: Readonly<Record<string, number>>): Readonly<Record<string, number>> =>
    Object.fromEntries(Object.entries(named).map(([name, value]) => [name, round(value)]));
  const figures = <T extends Figures>(group: T): T => ({
    ...group,
    metrics: all(group.metrics),
    ...(group.variances && { variances: all(group.variances) }),
  });
  return {
    ...figures(result),
    loss: round(result.loss),
    ...(result.subgroups && { subgroups: result.subgroups.map(figures) }),
  };
}

type Figures = Pick<GroupNumbers, 'metrics' | 'variances'>;
