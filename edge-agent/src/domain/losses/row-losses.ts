import type { FederatedJobSpec, LossName } from '@tributary/proto';

type TaskType = FederatedJobSpec['task']['type'];

/**
 * Loss of one row, from `logits` (the outputs of the last layer before its activation) and the true value: 0 or 1, the
 * index of a class, or a number. Writes the derivative by each logit to `slopes` where it is given.
 */
export type RowLoss = (logits: Float32Array, label: number, slopes?: Float64Array) => number;

/** 1 / (1 + exp(-z)), without overflow. */
export function sigmoid(logit: number): number {
  if (logit >= 0) return 1 / (1 + Math.exp(-logit));
  const odds = Math.exp(logit);
  return odds / (1 + odds);
}

/** ln(sum exp z), shifted by the largest so that nothing overflows. */
export function logSumExp(values: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of values) largest = Math.max(largest, value);
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

/** Binary cross-entropy of sigmoid(z): max(z, 0) - z y + ln(1 + exp(-|z|)), which neither overflows nor cancels. */
const binaryCrossEntropy: RowLoss = (logits, label, slopes) => {
  const logit = logits[0] ?? 0;
  if (slopes !== undefined) slopes[0] = sigmoid(logit) - label;
  return Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));
};

/** Cross-entropy of softmax(z) with the true class: ln(sum exp z) - z[class]. */
const categoricalCrossEntropy: RowLoss = (logits, label, slopes) => {
  const logSum = logSumExp(logits);
  if (slopes !== undefined) {
    for (let index = 0; index < logits.length; index += 1)
      slopes[index] = Math.exp((logits[index] ?? 0) - logSum) - Number(index === label);
  }
  return logSum - (logits[label] ?? 0);
};

/** Loss of an error e = prediction - truth, and its derivative. */
interface ErrorLoss {
  readonly value: (error: number) => number;
  readonly slope: (error: number) => number;
}

const SQUARED: ErrorLoss = { value: (error) => error * error, slope: (error) => 2 * error };
/** The derivative at 0, where there is none, counts as 0. */
const ABSOLUTE: ErrorLoss = { value: Math.abs, slope: Math.sign };
/** ln cosh e = |e| + ln(1 + exp(-2|e|)) - ln 2, which does not overflow. */
const LOG_COSH: ErrorLoss = {
  value: (error) => Math.abs(error) + Math.log1p(Math.exp(-2 * Math.abs(error))) - Math.LN2,
  slope: Math.tanh,
};

/** Error of the logit itself (regression). */
const ofValue =
  ({ value, slope }: ErrorLoss): RowLoss =>
  (logits, label, slopes) => {
    const error = (logits[0] ?? 0) - label;
    if (slopes !== undefined) slopes[0] = slope(error);
    return value(error);
  };

/** Error of the probability sigmoid(z) of the positive class. */
const ofProbability =
  ({ value, slope }: ErrorLoss): RowLoss =>
  (logits, label, slopes) => {
    const probability = sigmoid(logits[0] ?? 0);
    const error = probability - label;
    if (slopes !== undefined) slopes[0] = slope(error) * probability * (1 - probability);
    return value(error);
  };

/** Mean over the classes of the errors of softmax(z) against 1 for the true class and 0 for the others. */
const ofProbabilities =
  ({ value, slope }: ErrorLoss): RowLoss =>
  (logits, label, slopes) => {
    const logSum = logSumExp(logits);
    const classes = logits.length;
    let sum = 0;
    let pull = 0;
    for (let index = 0; index < classes; index += 1) {
      const probability = Math.exp((logits[index] ?? 0) - logSum);
      const error = probability - Number(index === label);
      sum += value(error);
      pull += probability * slope(error);
    }
    if (slopes !== undefined) {
      for (let index = 0; index < classes; index += 1) {
        const probability = Math.exp((logits[index] ?? 0) - logSum);
        slopes[index] = (probability * (slope(probability - Number(index === label)) - pull)) / classes;
      }
    }
    return sum / classes;
  };

/** max(0, 1 - s z) with s = -1 or 1: the margin of the logit (Cortes and Vapnik, 1995). */
const binaryHinge: RowLoss = (logits, label, slopes) => {
  const sign = label === 1 ? 1 : -1;
  const loss = 1 - sign * (logits[0] ?? 0);
  if (slopes !== undefined) slopes[0] = loss > 0 ? -sign : 0;
  return Number.isNaN(loss) ? loss : Math.max(0, loss);
};

/** max(0, 1 - z[class] + max of the other logits) (Crammer and Singer, JMLR 2, 2001). */
const categoricalHinge: RowLoss = (logits, label, slopes) => {
  let rival = label === 0 ? 1 : 0;
  for (let index = 0; index < logits.length; index += 1)
    if (index !== label && (logits[index] ?? 0) > (logits[rival] ?? 0)) rival = index;
  const loss = 1 - (logits[label] ?? 0) + (logits[rival] ?? 0);
  if (slopes !== undefined) {
    slopes.fill(0);
    if (loss > 0) [slopes[label], slopes[rival]] = [-1, 1];
  }
  return Number.isNaN(loss) ? loss : Math.max(0, loss);
};

/** -cos of the angle between softmax(z) and the true class: -p[class] / |p|. */
const cosineProximity: RowLoss = (logits, label, slopes) => {
  const logSum = logSumExp(logits);
  const probabilityOf = (index: number): number => Math.exp((logits[index] ?? 0) - logSum);
  let squares = 0;
  for (let index = 0; index < logits.length; index += 1) squares += probabilityOf(index) ** 2;
  const norm = Math.sqrt(squares);
  const cosine = probabilityOf(label) / norm;
  if (slopes !== undefined) {
    // The derivatives of p[class] / |p| by the logits; the terms of softmax that all logits share cancel.
    for (let index = 0; index < logits.length; index += 1) {
      const probability = probabilityOf(index);
      slopes[index] = -cosine * (Number(index === label) - (probability * probability) / squares);
    }
  }
  return -cosine;
};

const BINARY: Readonly<Partial<Record<LossName, RowLoss>>> = {
  BinaryCrossEntropy: binaryCrossEntropy,
  SquaredError: ofProbability(SQUARED),
  AbsoluteError: ofProbability(ABSOLUTE),
  LogCosh: ofProbability(LOG_COSH),
  Hinge: binaryHinge,
};
const MULTI_CLASS: Readonly<Partial<Record<LossName, RowLoss>>> = {
  CategoricalCrossEntropy: categoricalCrossEntropy,
  SquaredError: ofProbabilities(SQUARED),
  AbsoluteError: ofProbabilities(ABSOLUTE),
  LogCosh: ofProbabilities(LOG_COSH),
  Hinge: categoricalHinge,
  CosineProximity: cosineProximity,
};
const REGRESSION: Readonly<Partial<Record<LossName, RowLoss>>> = {
  SquaredError: ofValue(SQUARED),
  AbsoluteError: ofValue(ABSOLUTE),
  LogCosh: ofValue(LOG_COSH),
};

/** Losses by task and name: those of `lossesOf` of the contract. */
export const ROW_LOSSES: Readonly<Record<TaskType, Readonly<Partial<Record<LossName, RowLoss>>>>> =
  Object.freeze({ Binary: BINARY, MultiClass: MULTI_CLASS, Regression: REGRESSION });
