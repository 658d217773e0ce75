import { meanOverRows, type Predictions } from './predictions.js';

const error = ({ scores, labels }: Predictions, row: number): number =>
  (scores[row] ?? Number.NaN) - (labels[row] ?? Number.NaN);

/** Root of the mean squared error of a regression, in the unit of the label; NaN without rows. */
export function rmse(predictions: Predictions): number {
  return Math.sqrt(meanOverRows(predictions, (row) => error(predictions, row) ** 2));
}

/** Mean absolute error of a regression, in the unit of the label; NaN without rows. */
export function mae(predictions: Predictions): number {
  return meanOverRows(predictions, (row) => Math.abs(error(predictions, row)));
}
