import { meanOverRows, scoresOf, type Predictions } from './predictions.js';

/**
 * Share of rows whose predicted class is the true one, in [0, 1]; NaN without rows. One output: positive from 0.5 up.
 * Several: the class of the highest score, the first of equal ones (as numpy.argmax).
 */
export function accuracy(predictions: Predictions): number {
  return meanOverRows(predictions, (row) => {
    const scores = scoresOf(predictions, row);
    const predicted = predictions.outputs === 1 ? Number((scores[0] ?? 0) >= 0.5) : indexOfHighest(scores);
    return Number(predicted === predictions.labels[row]);
  });
}

function indexOfHighest(scores: Float32Array): number {
  let highest = 0;
  for (let index = 1; index < scores.length; index += 1) {
    if ((scores[index] ?? 0) > (scores[highest] ?? 0)) highest = index;
  }
  return highest;
}
