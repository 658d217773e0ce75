import { meanMetric } from './variance.js';

/**
 * Brier score of a binary classifier, in [0, 1]: the mean squared difference of probability and outcome (Brier,
 * Monthly Weather Review 78, 1950, halved for two classes as is usual); NaN without rows.
 */
export const brier = meanMetric(
  ({ scores, labels }, row) => ((scores[row] ?? Number.NaN) - (labels[row] ?? Number.NaN)) ** 2,
);
