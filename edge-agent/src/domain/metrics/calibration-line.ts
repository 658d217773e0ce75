import { sigmoid } from '../losses/row-losses.js';
import { clampProbability } from './log-loss.js';
import type { Predictions } from './predictions.js';
import type { Metric } from './variance.js';

/** A logistic regression of the outcomes on the logits of the probabilities, with the inverse of its information. */
interface Line {
  readonly intercept: number;
  readonly slope: number;
  readonly interceptVariance: number;
  readonly slopeVariance: number;
}

const STEPS = 50;
const CONVERGED = 1e-10;
/** Beyond this the classes are as good as separated and the likelihood has no maximum. */
const STEEPEST = 1e3;

function logitsOf({ scores }: Predictions): Float64Array {
  return Float64Array.from(scores, (score) => {
    const probability = clampProbability(score);
    return Math.log(probability / (1 - probability));
  });
}

/** Gradient and information of the log-likelihood at a line. */
function momentsAt(logits: Float64Array, labels: Float32Array, intercept: number, slope: number) {
  const sums = { gradient0: 0, gradient1: 0, h00: 0, h01: 0, h11: 0 };
  for (let row = 0; row < logits.length; row += 1) {
    const logit = logits[row] ?? 0;
    const probability = sigmoid(intercept + slope * logit);
    const residual = Number((labels[row] ?? 0) > 0.5) - probability;
    const weight = probability * (1 - probability);
    sums.gradient0 += residual;
    sums.gradient1 += residual * logit;
    sums.h00 += weight;
    sums.h01 += weight * logit;
    sums.h11 += weight * logit * logit;
  }
  return sums;
}

/**
 * Newton's method for both coefficients; undefined where it finds no maximum. It begins with no relation, where every row
 * weighs the same: at a slope of 1 the rows of an overconfident model weigh next to nothing, and the first step leaves
 * them all behind.
 */
function fitLine(predictions: Predictions): Line | undefined {
  const logits = logitsOf(predictions);
  let [intercept, slope] = [0, 0];
  for (let step = 0; step < STEPS; step += 1) {
    const { gradient0, gradient1, h00, h01, h11 } = momentsAt(logits, predictions.labels, intercept, slope);
    const determinant = h00 * h11 - h01 * h01;
    const [interceptStep, slopeStep] = [
      (h11 * gradient0 - h01 * gradient1) / determinant,
      (h00 * gradient1 - h01 * gradient0) / determinant,
    ];
    intercept += interceptStep;
    slope += slopeStep;
    if (!(Math.abs(slope) + Math.abs(intercept) < STEEPEST)) return undefined;
    if (Math.abs(interceptStep) + Math.abs(slopeStep) < CONVERGED)
      return { intercept, slope, interceptVariance: h11 / determinant, slopeVariance: h00 / determinant };
  }
  return undefined;
}

/** Beyond every intercept that has two classes: logits end at 16, and one row in a billion adds 21. */
const FARTHEST = 64;

/**
 * The intercept alone, at a slope of 1. The gradient falls as the intercept grows, so where Newton's step leaves what is
 * known to hold the root, as it does where the model is far off, that is halved instead.
 */
function fitIntercept(predictions: Predictions): Line | undefined {
  const logits = logitsOf(predictions);
  let [low, high] = [-FARTHEST, FARTHEST];
  let intercept = 0;
  for (let step = 0; step < STEPS; step += 1) {
    const { gradient0, h00 } = momentsAt(logits, predictions.labels, intercept, 1);
    const change = gradient0 / h00;
    if (Math.abs(change) < CONVERGED)
      return { intercept, slope: 1, interceptVariance: 1 / h00, slopeVariance: 0 };
    if (gradient0 > 0) low = intercept;
    else high = intercept;
    const next = intercept + change;
    intercept = next > low && next < high ? next : (low + high) / 2;
  }
  return undefined;
}

/**
 * Slope of the calibration line (Cox, Biometrika 45, 1958): of a logistic regression of the outcome on the logit of the
 * probability; 1 is best, below 1 probabilities are too extreme. NaN where the classes are separated or one is missing.
 */
export const calibrationSlope: Metric = {
  value: (predictions) => fitLine(predictions)?.slope ?? Number.NaN,
  variance: (predictions) => fitLine(predictions)?.slopeVariance ?? Number.NaN,
};

/**
 * Calibration in the large (Steyerberg, Clinical Prediction Models, 2019, 15.3): the intercept of that regression with
 * the slope fixed at 1; 0 is best, below 0 probabilities are too high on average. NaN where a class is missing.
 */
export const calibrationIntercept: Metric = {
  value: (predictions) => fitIntercept(predictions)?.intercept ?? Number.NaN,
  variance: (predictions) => fitIntercept(predictions)?.interceptVariance ?? Number.NaN,
};
