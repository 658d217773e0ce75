import { meanOverRows, scoresOf, type Predictions } from './predictions.js';

/** Probabilities are kept this far from 0 and 1: the float32 machine epsilon, as scikit-learn's log_loss does. */
const EPSILON = 2 ** -23;

/**
 * Negative mean log-likelihood in nats, at least 0; NaN without rows (Bishop, Pattern Recognition and Machine
 * Learning, 4.90 and 4.108). One output is the probability of the positive class.
 */
export function logLoss(predictions: Predictions): number {
  return meanOverRows(predictions, (row) => {
    const label = predictions.labels[row] ?? 0;
    const scores = scoresOf(predictions, row);
    if (predictions.outputs > 1) return -Math.log(clamp(scores[label] ?? 0));
    const positive = clamp(scores[0] ?? 0);
    return -Math.log(label > 0.5 ? positive : 1 - positive);
  });
}

const clamp = (probability: number): number => Math.min(Math.max(probability, EPSILON), 1 - EPSILON);
