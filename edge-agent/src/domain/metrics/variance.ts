import type { Predictions } from './predictions.js';

/**
 * Sampling variance of a figure from the influence of each row on it, by the infinitesimal jackknife (Jaeckel, Bell Labs
 * memorandum 1972; Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6): the sum of squared
 * derivatives of the figure by the weights of the rows, times n / (n - 1), so that for a mean it is s^2 / n exactly.
 * NaN with fewer than two rows.
 *
 * @param influence derivative of the figure by the weight of the row, at weights of 1
 */
export function varianceOf(rows: number, influence: (row: number) => number): number {
  let sum = 0;
  for (let row = 0; row < rows; row += 1) sum += influence(row) ** 2;
  return rows < 2 ? Number.NaN : (sum * rows) / (rows - 1);
}

/** A figure of predictions, and its sampling variance; each NaN where undefined. */
export interface Metric {
  value(predictions: Predictions): number;
  variance(predictions: Predictions): number;
}

/** The metric that is the mean of a value over the rows; its variance is that of the values divided by their number. */
export function meanMetric(valueOf: (predictions: Predictions, row: number) => number): Metric {
  const value = (predictions: Predictions): number => {
    const rows = predictions.labels.length;
    let sum = 0;
    for (let row = 0; row < rows; row += 1) sum += valueOf(predictions, row);
    return rows === 0 ? Number.NaN : sum / rows;
  };
  return {
    value,
    variance: (predictions) => {
      const mean = value(predictions);
      const rows = predictions.labels.length;
      return varianceOf(rows, (row) => (valueOf(predictions, row) - mean) / rows);
    },
  };
}
