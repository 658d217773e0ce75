import type { FederatedJobSpec } from '@tributary/proto';

type TaskType = FederatedJobSpec['task']['type'];

/** Outputs of the last layer before its activation ("logits"), row-major, and the true values of the rows. */
export interface LossInput {
  readonly logits: Float32Array;
  /** One value a row: 0 or 1, the index of the class, or the true value. */
  readonly labels: Float32Array;
  readonly outputs: number;
}

/** Computes the summed loss of the rows and, with `gradient`, writes there the derivative of the *mean* loss by each logit. */
export type Loss = (input: LossInput, gradient?: Float32Array) => number;

/** Binary cross-entropy of sigmoid(z): max(z, 0) - z y + ln(1 + exp(-|z|)), which neither overflows nor cancels. */
const binaryCrossEntropy: Loss = ({ logits, labels }, gradient) => {
  const rows = labels.length;
  let sum = 0;
  for (let row = 0; row < rows; row += 1) {
    const logit = logits[row] ?? 0;
    const label = labels[row] ?? 0;
    sum += Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));
    if (gradient !== undefined) gradient[row] = (sigmoid(logit) - label) / rows;
  }
  return sum;
};

/** Cross-entropy of softmax(z) with the true class: ln(sum exp z) - z[class], shifted by the largest logit. */
const categoricalCrossEntropy: Loss = ({ logits, labels, outputs }, gradient) => {
  const rows = labels.length;
  let sum = 0;
  for (let row = 0; row < rows; row += 1) {
    const values = logits.subarray(row * outputs, (row + 1) * outputs);
    const label = labels[row] ?? 0;
    const logSum = logSumExp(values);
    sum += logSum - (values[label] ?? 0);
    if (gradient === undefined) continue;
    for (let index = 0; index < outputs; index += 1) {
      gradient[row * outputs + index] =
        (Math.exp((values[index] ?? 0) - logSum) - Number(index === label)) / rows;
    }
  }
  return sum;
};

/** Squared error (z - y)^2. */
const squaredError: Loss = ({ logits, labels }, gradient) => {
  const rows = labels.length;
  let sum = 0;
  for (let row = 0; row < rows; row += 1) {
    const error = (logits[row] ?? 0) - (labels[row] ?? 0);
    sum += error * error;
    if (gradient !== undefined) gradient[row] = (2 * error) / rows;
  }
  return sum;
};

/** The loss of each task, a function of the logits (Goodfellow et al., Deep Learning, 6.2). */
export const LOSSES: Readonly<Record<TaskType, Loss>> = Object.freeze({
  Binary: binaryCrossEntropy,
  MultiClass: categoricalCrossEntropy,
  Regression: squaredError,
});

/** Turns logits into the scores of the task, in place: probabilities, or the value itself for a regression. */
export function logitsToScores(task: TaskType, logits: Float32Array, outputs: number): void {
  if (task === 'Regression') return;
  if (task === 'Binary') {
    for (let row = 0; row < logits.length; row += 1) logits[row] = sigmoid(logits[row] ?? 0);
    return;
  }
  for (let first = 0; first < logits.length; first += outputs) {
    const values = logits.subarray(first, first + outputs);
    const logSum = logSumExp(values);
    for (let index = 0; index < outputs; index += 1) values[index] = Math.exp((values[index] ?? 0) - logSum);
  }
}

/** 1 / (1 + exp(-z)), without overflow. */
function sigmoid(logit: number): number {
  if (logit >= 0) return 1 / (1 + Math.exp(-logit));
  const odds = Math.exp(logit);
  return odds / (1 + odds);
}

function logSumExp(values: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of values) largest = Math.max(largest, value);
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}
