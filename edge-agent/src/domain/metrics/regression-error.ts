import type { Predictions } from './predictions.js';
import { meanMetric, varianceOf, type Metric } from './variance.js';

const error = ({ scores, labels }: Predictions, row: number): number =>
  (scores[row] ?? Number.NaN) - (labels[row] ?? Number.NaN);

const squaredError = meanMetric((predictions, row) => error(predictions, row) ** 2);

/** Root of the mean squared error of a regression, in the unit of the label; NaN without rows. */
export const rmse: Metric = {
  value: (predictions) => Math.sqrt(squaredError.value(predictions)),
  // The delta method: the derivative of the root is 1 / (2 rmse). Without any error nothing is known of its spread.
  variance: (predictions) => {
    const mean = squaredError.value(predictions);
    return mean === 0 ? 0 : squaredError.variance(predictions) / (4 * mean);
  },
};

/** Mean absolute error of a regression, in the unit of the label; NaN without rows. */
export const mae = meanMetric((predictions, row) => Math.abs(error(predictions, row)));

interface Squares {
  readonly mean: number;
  /** Sum of squared errors. */
  readonly residual: number;
  /** Sum of squared distances of the labels from their mean. */
  readonly total: number;
}

function squaresOf(predictions: Predictions): Squares {
  const { labels } = predictions;
  let sum = 0;
  for (const label of labels) sum += label;
  const mean = sum / labels.length;
  let [residual, total] = [0, 0];
  for (let row = 0; row < labels.length; row += 1) {
    residual += error(predictions, row) ** 2;
    total += ((labels[row] ?? Number.NaN) - mean) ** 2;
  }
  return { mean, residual, total };
}

/**
 * Coefficient of determination, at most 1: 1 minus the squared errors over the squared distances of the labels from the
 * mean of these rows; NaN where all labels are equal, and without rows.
 */
export const r2: Metric = {
  value: (predictions) => {
    const { residual, total } = squaresOf(predictions);
    return total > 0 ? 1 - residual / total : Number.NaN;
  },
  variance: (predictions) => {
    const { mean, residual, total } = squaresOf(predictions);
    if (!(total > 0)) return Number.NaN;
    const { labels } = predictions;
    return varianceOf(labels.length, (row) => {
      const spread = ((labels[row] ?? Number.NaN) - mean) ** 2;
      return (-(error(predictions, row) ** 2) + (residual / total) * spread) / total;
    });
  },
};
