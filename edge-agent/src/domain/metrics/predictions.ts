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

/** The predicted class of a row: positive (1) from 0.5 up, or the highest score, the first of equal ones (as numpy.argmax). */
export function predictedClass(predictions: Predictions, row: number): number {
  const { scores, outputs } = predictions;
  if (outputs === 1) return Number((scores[row] ?? 0) >= 0.5);
  let highest = 0;
  for (let index = 1; index < outputs; index += 1) {
    if ((scores[row * outputs + index] ?? 0) > (scores[row * outputs + highest] ?? 0)) highest = index;
  }
  return highest;
}

/** The rows with those numbers. */
export function selectRows({ scores, labels, outputs }: Predictions, rows: Uint32Array): Predictions {
  const selected = {
    scores: new Float32Array(rows.length * outputs),
    labels: new Float32Array(rows.length),
    outputs,
  };
  rows.forEach((row, index) => {
    selected.scores.set(scores.subarray(row * outputs, (row + 1) * outputs), index * outputs);
    selected.labels[index] = labels[row] ?? Number.NaN;
  });
  return selected;
}
