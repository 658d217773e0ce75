import { TributaryError } from '@tributary/proto';

import type { TrainingResult } from '../ports.js';

/**
 * What a site may send of a result: a job chooses split and batches, and figures of fewer than `minCount` rows, whether
 * weights, a loss or metrics, would be about persons. Without enough test rows the metrics are left out. Throws
 * DATASET_TOO_SMALL without enough training rows; none is enough, where a site is held out.
 */
export function tellableResult(result: TrainingResult, minCount: number): TrainingResult {
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
