import { meanOverRows, type Predictions } from './predictions.js';

/**
 * Brier score of a binary classifier, in [0, 1]: the mean squared difference of probability and outcome (Brier,
 * Monthly Weather Review 78, 1950, halved for two classes as is usual); NaN without rows.
 */
export function brier(predictions: Predictions): number {
  const { scores, labels } = predictions;
  return meanOverRows(predictions, (row) => ((scores[row] ?? Number.NaN) - (labels[row] ?? Number.NaN)) ** 2);
}
