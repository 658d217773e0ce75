import { scoresOf } from './predictions.js';
import { meanMetric } from './variance.js';

/** Probabilities are kept this far from 0 and 1: the float32 machine epsilon, as scikit-learn's log_loss does. */
const EPSILON = 2 ** -23;

/**
 * Negative mean log-likelihood in nats, at least 0; NaN without rows (Bishop, Pattern Recognition and Machine
 * Learning, 4.90 and 4.108). One output is the probability of the positive class.
 */
export const logLoss = meanMetric((predictions, row) => {
  const label = predictions.labels[row] ?? 0;
  const scores = scoresOf(predictions, row);
  if (predictions.outputs > 1) return -Math.log(clampProbability(scores[label] ?? 0));
  const positive = clampProbability(scores[0] ?? 0);
  return -Math.log(label > 0.5 ? positive : 1 - positive);
});

/** The probability, far enough from 0 and 1 for a logarithm. */
export function clampProbability(probability: number): number {
  return Math.min(Math.max(probability, EPSILON), 1 - EPSILON);
}
