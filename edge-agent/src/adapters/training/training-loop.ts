import { TributaryError, type FederatedJobSpec } from '@tributary/proto';

import { seededRandom, shuffle } from '../../domain/datasets/seeded-random.js';
import type { EncodedRows } from '../datasets/encoded-rows.js';
import type { TrainingStep } from './training-step.js';

export interface LoopHooks {
  /** Called before each step; throws to stop the training. */
  readonly checkpoint: () => void;
  /** 0 to 100, each value once, ascending. */
  readonly progress: (percent: number) => void;
}

/**
 * Trains for the epochs of the job and returns the mean loss over the last one. Rows are shuffled by (seed, round,
 * epoch), each epoch from file order, so that a repeat of the round gives the same bits on the same backend. Throws
 * TRAINING_DIVERGED at the first loss that is not finite.
 */
export function trainEpochs(
  step: TrainingStep,
  rows: EncodedRows,
  training: FederatedJobSpec['training'],
  round: number,
  hooks: LoopHooks,
): number {
  const batch = new Batch(rows, Math.min(training.batchSize, rows.rows));
  const steps = training.epochs * Math.ceil(rows.rows / training.batchSize);
  let done = 0;
  let sum = 0;
  for (let epoch = 0; epoch < training.epochs; epoch += 1) {
    sum = 0;
    const order = Uint32Array.from({ length: rows.rows }, (_, row) => row);
    shuffle(order, seededRandom(training.seed, round, epoch));
    for (let first = 0; first < order.length; first += training.batchSize) {
      hooks.checkpoint();
      const loss = batch.run(step, order.subarray(first, first + training.batchSize));
      if (!Number.isFinite(loss)) throw diverged(epoch, done);
      sum += loss;
      done += 1;
      reportProgress(hooks, done, steps);
    }
  }
  return sum / rows.rows;
}

/** Scratch memory of one batch, reused by every step. */
class Batch {
  readonly #rows: EncodedRows;
  readonly #inputs: Float32Array;
  readonly #labels: Float32Array;

  constructor(rows: EncodedRows, size: number) {
    this.#rows = rows;
    this.#inputs = new Float32Array(size * rows.width);
    this.#labels = new Float32Array(size);
  }

  run(step: TrainingStep, order: Uint32Array): number {
    for (const [target, row] of order.entries()) this.#rows.copyRow(row, target, this.#inputs, this.#labels);
    return step.run(
      this.#inputs.subarray(0, order.length * this.#rows.width),
      this.#labels.subarray(0, order.length),
    );
  }
}

function reportProgress(hooks: LoopHooks, done: number, steps: number): void {
  const percent = Math.floor((100 * done) / steps);
  if (percent > Math.floor((100 * (done - 1)) / steps)) hooks.progress(percent);
}

const diverged = (epoch: number, step: number): TributaryError =>
  new TributaryError(
    'TRAINING_DIVERGED',
    `the loss was not finite in epoch ${String(epoch + 1)}, step ${String(step + 1)}`,
    {
      hint: 'lower training.optimizer.learningRate, or scale and clip the features',
      fields: { epoch: epoch + 1, step: step + 1 },
    },
  );
