import { TributaryError, type FederatedJobSpec } from '@tributary/proto';

import { seededRandom, shuffle } from '../../domain/datasets/seeded-random.js';
import { learningRateAt } from '../../domain/training/learning-rate.js';
import type { EncodedRows } from '../datasets/encoded-rows.js';
import type { Checkpoint } from './checkpoint.js';
import { chooseRows, EarlyStopping } from './early-stopping.js';
import { meanLoss } from './evaluation.js';
import type { TrainingStep } from './training-step.js';

export interface LoopHooks {
  /** Called before each step; throws to stop the training. */
  readonly poll: () => void;
  /** 0 to 100, each value once, ascending. */
  readonly progress: (percent: number) => void;
  /** Called between two epochs; `take` copies everything that the next ones depend on. */
  readonly epochDone?: (take: () => EpochState) => void;
}

/** What a training needs to go on after an epoch: a checkpoint without the name of its surroundings. */
export type EpochState = Omit<Checkpoint, 'identity'>;

export interface LoopParts {
  readonly step: TrainingStep;
  readonly rows: EncodedRows;
  readonly spec: Pick<FederatedJobSpec, 'training' | 'rounds'>;
  /** From 1. */
  readonly round: number;
  readonly hooks: LoopHooks;
  /** Where an interrupted training of the same round stood. */
  readonly resume?: EpochState | undefined;
}

export interface LoopResult {
  /** Mean loss over the last epoch, or over the best one where the job stops early. */
  readonly loss: number;
  /** Rows trained on: all but those that judge the epochs. */
  readonly examples: number;
}

/**
 * Trains for the epochs or steps of the job. Rows are shuffled by (seed, round, epoch), each epoch from file order, so
 * that a repeat of the round gives the same bits on the same backend, resumed or not. Throws TRAINING_DIVERGED at the
 * first loss that is not finite.
 */
export function trainEpochs(parts: LoopParts): LoopResult {
  const loop = new TrainingLoop(parts);
  for (;;) {
    const more = loop.epoch();
    if (!more) return loop.finish();
    parts.hooks.epochDone?.(() => loop.state());
  }
}

/** Sets the stream of dropout apart from that of the order of rows. */
const DROPOUT = 1;

class TrainingLoop {
  readonly #parts: LoopParts;
  readonly #batch: Batch;
  readonly #order: Uint32Array;
  readonly #validation: Uint32Array;
  readonly #stopping: EarlyStopping | undefined;
  /** Of the round. */
  readonly #steps: number;
  readonly #epochs: number;
  #epoch = 0;
  #done = 0;
  #loss = Number.NaN;

  constructor(parts: LoopParts) {
    this.#parts = parts;
    const { rows, resume } = parts;
    const { batchSize, epochs, steps, seed, earlyStopping } = parts.spec.training;
    const { training, validation } = chooseRows(rows.rows, seed, earlyStopping);
    this.#order = training;
    this.#validation = validation;
    const stepsPerEpoch = Math.ceil(training.length / batchSize);
    this.#steps = steps ?? epochs * stepsPerEpoch;
    this.#epochs = Math.ceil(this.#steps / stepsPerEpoch);
    this.#batch = new Batch(rows, Math.min(batchSize, training.length));
    if (validation.length > 0 && earlyStopping !== undefined)
      this.#stopping = new EarlyStopping(earlyStopping, resume?.best);
    if (resume !== undefined) this.#resume(resume);
  }

  /** Trains for one epoch; false where it was the last. */
  epoch(): boolean {
    if (this.#done < this.#steps) this.#loss = this.#runEpoch();
    this.#epoch += 1;
    return !this.#stopsEarly() && this.#done < this.#steps;
  }

  state(): EpochState {
    const { step } = this.#parts;
    const best = this.#stopping?.best;
    return {
      epoch: this.#epoch,
      steps: this.#done,
      loss: this.#loss,
      weights: step.network.read(),
      optimizer: step.optimizerState(),
      ...(best === undefined ? {} : { best }),
    };
  }

  finish(): LoopResult {
    const { step, hooks } = this.#parts;
    if (this.#done < this.#steps) hooks.progress(100);
    const best = this.#stopping?.best;
    if (best !== undefined && best.waited > 0) step.network.load(best.weights);
    return { loss: best?.loss ?? this.#loss, examples: this.#order.length };
  }

  #resume({ epoch, steps, loss, weights, optimizer }: EpochState): void {
    const { step } = this.#parts;
    step.network.load(weights);
    step.restoreOptimizer(optimizer, steps);
    [this.#epoch, this.#done, this.#loss] = [epoch, steps, loss];
  }

  #runEpoch(): number {
    const { spec, round, step, hooks } = this.#parts;
    const { seed, batchSize, optimizer, schedule } = spec.training;
    const place = { round, rounds: spec.rounds, epoch: this.#epoch, epochs: this.#epochs };
    const rate = learningRateAt(optimizer.learningRate, schedule, place);
    const order = this.#order.slice();
    shuffle(order, seededRandom(seed, round, this.#epoch));
    step.network.seedDropout(seed, round, this.#epoch, DROPOUT);
    let sum = 0;
    let seen = 0;
    for (let first = 0; first < order.length && this.#done < this.#steps; first += batchSize) {
      hooks.poll();
      const rows = order.subarray(first, first + batchSize);
      const loss = this.#batch.run(step, rows, rate);
      if (!Number.isFinite(loss)) throw diverged(this.#epoch, this.#done);
      sum += loss;
      seen += rows.length;
      this.#done += 1;
      reportProgress(hooks, this.#done, this.#steps);
    }
    return sum / seen;
  }

  #stopsEarly(): boolean {
    const stopping = this.#stopping;
    if (stopping === undefined) return false;
    const { step, rows, hooks } = this.#parts;
    const validationLoss = meanLoss(step.network, rows, this.#validation, step.loss, hooks.poll);
    if (!Number.isFinite(validationLoss)) throw diverged(this.#epoch - 1, this.#done);
    return stopping.judge({ validationLoss, loss: this.#loss }, () => step.network.read());
  }
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

  run(step: TrainingStep, order: Uint32Array, rate: number): number {
    for (const [target, row] of order.entries()) this.#rows.copyRow(row, target, this.#inputs, this.#labels);
    return step.run(
      this.#inputs.subarray(0, order.length * this.#rows.width),
      this.#labels.subarray(0, order.length),
      rate,
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
