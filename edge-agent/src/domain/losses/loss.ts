import { lossesOf, TributaryError, type FederatedJobSpec, type LossName } from '@tributary/proto';

import { logSumExp, ROW_LOSSES, sigmoid } from './row-losses.js';

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

export interface LossChoice {
  readonly task: TaskType;
  /** That of the task where absent. */
  readonly name?: LossName | undefined;
  /** Factor of a row's loss by its class; every row counts once where absent. */
  readonly classWeights?: readonly number[] | undefined;
}

/**
 * The loss of a job as a function of the logits (Goodfellow et al., Deep Learning, 6.2), with its analytic derivative, in
 * double precision. With class weights sum and derivative are those of the weighted losses; the mean is still over
 * rows, so that weights of mean 1 keep the step size. Throws INVALID_ARGUMENT where the task has no such loss.
 */
export function lossOf({ task, name, classWeights }: LossChoice): Loss {
  const chosen = name ?? lossesOf(task)[0];
  const rowLoss = ROW_LOSSES[task][chosen];
  if (rowLoss === undefined)
    throw new TributaryError('INVALID_ARGUMENT', `${chosen} is not defined for a task of type ${task}`);
  return ({ logits, labels, outputs }, gradient) => {
    const rows = labels.length;
    const slopes = gradient && new Float64Array(outputs);
    let sum = 0;
    for (let row = 0; row < rows; row += 1) {
      const first = row * outputs;
      const label = labels[row] ?? 0;
      const weight = classWeights?.[label] ?? 1;
      sum += weight * rowLoss(logits.subarray(first, first + outputs), label, slopes);
      if (gradient === undefined || slopes === undefined) continue;
      for (let index = 0; index < outputs; index += 1)
        gradient[first + index] = (weight * (slopes[index] ?? 0)) / rows;
    }
    return sum;
  };
}

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
