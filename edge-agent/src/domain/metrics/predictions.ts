/**
 * What a model said about rows, and what was true.
 *
 * `scores` is row-major, `rows * outputs` values: for a binary task the probability of the positive class (outputs 1),
 * for classes one probability each (outputs = number of classes), for a regression the predicted value (outputs 1).
 * `labels` has one value a row: 0 or 1, the index of the class, or the true value.
 */
export interface Predictions {
  readonly scores: Float32Array;
  readonly labels: Float32Array;
  readonly outputs: number;
}

/** Scores of one row, as a view. */
export function scoresOf(predictions: Predictions, row: number): Float32Array {
  return predictions.scores.subarray(row * predictions.outputs, (row + 1) * predictions.outputs);
}

/** Sum of a per-row value over all rows, divided by their number; NaN without rows. */
export function meanOverRows(predictions: Predictions, value: (row: number) => number): number {
  const rows = predictions.labels.length;
  let sum = 0;
  for (let row = 0; row < rows; row += 1) sum += value(row);
  return rows === 0 ? Number.NaN : sum / rows;
}
