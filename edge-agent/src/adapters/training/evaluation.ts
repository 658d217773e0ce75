import { tensor2d, tidy } from '@tensorflow/tfjs-core';
import { LIMITS, TributaryError, type FederatedJobSpec } from '@tributary/proto';

import { LOSSES, logitsToScores } from '../../domain/losses/loss.js';
import type { Predictions } from '../../domain/metrics/predictions.js';
import type { EncodedRows } from '../datasets/encoded-rows.js';
import type { DenseNetwork } from './dense-network.js';

/** Rows predicted at a time: bounds the activations, and lets a cancellation through. */
const ROWS_AT_A_TIME = 256;

export interface Prediction extends Predictions {
  /** Mean loss of the rows; NaN without rows. */
  readonly loss: number;
}

/** Scores and loss of the network on all `rows`; `checkpoint` is called now and then and throws to stop. */
export function predict(
  network: DenseNetwork,
  rows: EncodedRows,
  task: FederatedJobSpec['task'],
  checkpoint: () => void,
): Prediction {
  const { outputs, width } = network;
  requireSpace(rows.rows * outputs * Float32Array.BYTES_PER_ELEMENT);
  const scores = new Float32Array(rows.rows * outputs);
  const labels = new Float32Array(rows.rows);
  const inputs = new Float32Array(ROWS_AT_A_TIME * width);
  let sum = 0;
  for (let first = 0; first < rows.rows; first += ROWS_AT_A_TIME) {
    checkpoint();
    const count = Math.min(ROWS_AT_A_TIME, rows.rows - first);
    const truth = labels.subarray(first, first + count);
    for (let row = 0; row < count; row += 1) rows.copyRow(first + row, row, inputs, truth);
    const logits = forward(network, inputs.subarray(0, count * width), count);
    sum += LOSSES[task.type]({ logits, labels: truth, outputs });
    logitsToScores(task.type, logits, outputs);
    scores.set(logits, first * outputs);
  }
  return { scores, labels, outputs, loss: rows.rows === 0 ? Number.NaN : sum / rows.rows };
}

/** A copy of the logits: on the cpu backend dataSync() returns the live buffer. */
function forward(network: DenseNetwork, inputs: Float32Array, rows: number): Float32Array {
  return tidy(() =>
    Float32Array.from(network.logits(tensor2d(inputs, [rows, network.width]), false).dataSync<'float32'>()),
  );
}

function requireSpace(bytes: number): void {
  if (bytes <= LIMITS.datasetBytes) return;
  throw new TributaryError(
    'LIMIT_EXCEEDED',
    `predictions of the test split take at most ${String(LIMITS.datasetBytes)} bytes; lower dataset.testFraction`,
  );
}
