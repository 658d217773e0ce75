import { tensor2d, tidy } from '@tensorflow/tfjs-core';
import { LIMITS, TributaryError, type FederatedJobSpec } from '@tributary/proto';

import { lossOf, logitsToScores, type Loss } from '../../domain/losses/loss.js';
import type { Predictions } from '../../domain/metrics/predictions.js';
import type { EncodedRows } from '../datasets/encoded-rows.js';
import type { Network } from './network.js';

/** Rows predicted at a time: bounds the activations, and lets a cancellation through. */
export const ROWS_AT_A_TIME = 256;

export interface Prediction extends Predictions {
  /** Mean loss of the rows; NaN without rows. */
  readonly loss: number;
}

/** Scores and loss of the network on all `rows`; `poll` is called now and then and throws to stop. */
export function predict(
  network: Network,
  rows: EncodedRows,
  { task, training }: Pick<FederatedJobSpec, 'task' | 'training'>,
  poll: () => void,
): Prediction {
  const { outputs, width } = network;
  const loss = lossOf({ task: task.type, name: training.loss });
  requireSpace(rows.rows * outputs * Float32Array.BYTES_PER_ELEMENT);
  const scores = new Float32Array(rows.rows * outputs);
  const labels = new Float32Array(rows.rows);
  const inputs = new Float32Array(ROWS_AT_A_TIME * width);
  let sum = 0;
  for (let first = 0; first < rows.rows; first += ROWS_AT_A_TIME) {
    poll();
    const count = Math.min(ROWS_AT_A_TIME, rows.rows - first);
    const truth = labels.subarray(first, first + count);
    for (let row = 0; row < count; row += 1) rows.copyRow(first + row, row, inputs, truth);
    const logits = forward(network, inputs.subarray(0, count * width), count);
    sum += loss({ logits, labels: truth, outputs });
    logitsToScores(task.type, logits, outputs);
    scores.set(logits, first * outputs);
  }
  return { scores, labels, outputs, loss: rows.rows === 0 ? Number.NaN : sum / rows.rows };
}

/** Mean loss of the rows that `chosen` names, of which there is at least one. */
export function meanLoss(
  network: Network,
  rows: EncodedRows,
  chosen: Uint32Array,
  loss: Loss,
  poll: () => void,
): number {
  const { outputs, width } = network;
  const labels = new Float32Array(Math.min(ROWS_AT_A_TIME, chosen.length));
  const inputs = new Float32Array(labels.length * width);
  let sum = 0;
  for (let first = 0; first < chosen.length; first += ROWS_AT_A_TIME) {
    poll();
    const part = chosen.subarray(first, first + ROWS_AT_A_TIME);
    for (const [target, row] of part.entries()) rows.copyRow(row, target, inputs, labels);
    const logits = forward(network, inputs.subarray(0, part.length * width), part.length);
    sum += loss({ logits, labels: labels.subarray(0, part.length), outputs });
  }
  return sum / chosen.length;
}

/** The logits of `inputs` (rows x width), a copy: on the cpu backend dataSync() returns the live buffer. */
export function forward(network: Network, inputs: Float32Array, rows: number): Float32Array {
  return tidy(() =>
    Float32Array.from(network.logits(tensor2d(inputs, [rows, network.width]), false).dataSync<'float32'>()),
  );
}

function requireSpace(bytes: number): void {
  if (bytes <= LIMITS.predictionBytes) return;
  throw new TributaryError(
    'LIMIT_EXCEEDED',
    `predictions of the test split take at most ${String(LIMITS.predictionBytes)} bytes; lower dataset.testFraction`,
  );
}
