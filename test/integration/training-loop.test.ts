import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';

import type { FederatedJobInput } from '@tributary/proto';
import { startBackend } from '@tributary/edge-agent/internal/adapters/training/backend.js';
import { chooseRows } from '@tributary/edge-agent/internal/adapters/training/early-stopping.js';
import {
  requireHeapSpace,
  requireModelSpace,
  requireStepSpace,
  wasmHeapBytes,
} from '@tributary/edge-agent/internal/adapters/training/memory-budget.js';
import { Network } from '@tributary/edge-agent/internal/adapters/training/network.js';
import {
  trainEpochs,
  type EpochState,
  type LoopResult,
} from '@tributary/edge-agent/internal/adapters/training/training-loop.js';
import { TrainingStep } from '@tributary/edge-agent/internal/adapters/training/training-step.js';
import { EncodedRows } from '@tributary/edge-agent/internal/adapters/datasets/encoded-rows.js';
import { memory } from '@tensorflow/tfjs-core';

import { refusal } from '../support/refusal.js';
import { SeededRandom } from '../support/seeded-random.js';
import { modelOf, trainingSpec } from '../support/training-job.js';

type Training = FederatedJobInput['spec']['training'];

const WIDTH = 5;
const ROWS = 100;

/** Labels follow the first input, with some noise. */
function sample(): EncodedRows {
  const random = new SeededRandom(4);
  const rows = new EncodedRows(WIDTH, tmpdir());
  for (let row = 0; row < ROWS; row += 1) {
    const values = Float32Array.from({ length: WIDTH }, () => random.uint32() / 2 ** 31 - 1);
    rows.append(Number((values[0] ?? 0) + 0.5 * (values[1] ?? 0) > 0)).set(values);
  }
  return rows;
}

interface Ran extends LoopResult {
  readonly weights: Float32Array;
  readonly steps: number;
  readonly states: readonly EpochState[];
  readonly percents: readonly number[];
}

function run(training: Training, resume?: EpochState, round = 1): Ran {
  const spec = trainingSpec({ training });
  const { layout, weights } = modelOf(spec);
  const before = memory().numTensors;
  const network = new Network(spec.model.layers, layout, [WIDTH]);
  network.load(weights);
  const step = new TrainingStep(network, spec);
  const states: EpochState[] = [];
  const percents: number[] = [];
  let steps = 0;
  const result = trainEpochs({
    ...{ step, rows: sample(), spec, round, resume },
    hooks: {
      poll: () => (steps += 1),
      progress: (percent) => percents.push(percent),
      epochDone: (take) => states.push(take()),
    },
  });
  const trained = network.read();
  step.dispose();
  network.dispose();
  assert.equal(memory().numTensors, before, 'a tensor was left behind');
  return { ...result, weights: trained, steps, states, percents };
}

const adam = { type: 'Adam', learningRate: 0.05 } as const;

describe('training loop', () => {
  before(() => startBackend('wasm'));

  it('takes the steps that the job names, over as many epochs as they need', () => {
    const { steps, states, examples, percents } = run({ steps: 10, batchSize: 32, optimizer: adam });
    assert.equal(steps, 10);
    assert.deepEqual(
      states.map(({ epoch, steps: done }) => [epoch, done]),
      [
        [1, 4],
        [2, 8],
      ],
    );
    assert.equal(examples, ROWS);
    assert.equal(percents.at(-1), 100);
    const epochs = run({ epochs: 2, batchSize: 32, optimizer: adam });
    const same = run({ steps: 8, batchSize: 32, optimizer: adam });
    assert.deepEqual(same.weights, epochs.weights);
    assert.equal(same.loss, epochs.loss);
  });

  it('gives the same bits when it goes on from any epoch', () => {
    for (const training of [
      { epochs: 5, batchSize: 16, optimizer: adam },
      { steps: 17, batchSize: 16, optimizer: { type: 'Momentum', learningRate: 0.1 } },
      {
        epochs: 6,
        optimizer: adam,
        earlyStopping: { patience: 2 },
        schedule: { type: 'Cosine', unit: 'Epoch' },
      },
    ] satisfies Training[]) {
      const whole = run(training);
      for (const state of whole.states) {
        const resumed = run(training, state);
        assert.deepEqual(resumed.weights, whole.weights, `after epoch ${String(state.epoch)}`);
        assert.equal(resumed.loss, whole.loss);
      }
    }
  });

  it('ends where the validation loss no longer falls, with the weights of the best epoch', () => {
    const restless = { type: 'Sgd', learningRate: 10 } as const;
    const { states, examples, percents, weights } = run({
      ...{ epochs: 200, batchSize: 8, optimizer: restless },
      earlyStopping: { patience: 3, validationFraction: 0.2 },
    });
    assert.equal(examples, 80);
    assert.equal(percents.at(-1), 100);
    assert.ok(states.length < 150, `trained for ${String(states.length)} epochs`);
    const last = states.at(-1)?.best;
    assert.ok(last !== undefined && last.waited === 2);
    assert.deepEqual(weights, last.weights);
  });

  it('keeps rows of both kinds, the same in every round', () => {
    const spec = { patience: 1, minDelta: 0, validationFraction: 0.25 };
    const { training, validation } = chooseRows(ROWS, 7, spec);
    assert.deepEqual([training.length, validation.length], [75, 25]);
    assert.equal(new Set([...training, ...validation]).size, ROWS);
    assert.deepEqual(chooseRows(ROWS, 7, spec).validation, validation);
    assert.notDeepEqual(chooseRows(ROWS, 8, spec).validation, validation);
    assert.deepEqual([...chooseRows(2, 7, { ...spec, validationFraction: 0.5 }).training].length, 1);
    assert.equal(chooseRows(1, 7, spec).validation.length, 0);
    assert.equal(chooseRows(ROWS, 7, undefined).training.length, ROWS);
  });

  it('changes the learning rate over the rounds of the job', () => {
    const constant = run({ optimizer: { type: 'Sgd', learningRate: 0.1 } }, undefined, 2);
    const halved = run(
      { optimizer: { type: 'Sgd', learningRate: 0.2 }, schedule: { type: 'Exponential', factor: 0.5 } },
      undefined,
      2,
    );
    assert.deepEqual(halved.weights, constant.weights);
  });

  it('weighs classes: the gradient of a class twice as heavy counts twice', () => {
    const plain = run({ batchSize: 128, optimizer: { type: 'Sgd', learningRate: 0.1 } });
    const both = run({
      batchSize: 128,
      classWeights: [2, 2],
      optimizer: { type: 'Sgd', learningRate: 0.05 },
    });
    for (const [index, value] of both.weights.entries())
      assert.ok(Math.abs(value - (plain.weights[index] ?? 0)) < 1e-6);
    const one = run({ batchSize: 128, classWeights: [1, 3], optimizer: { type: 'Sgd', learningRate: 0.1 } });
    assert.notDeepEqual(one.weights, plain.weights);
  });

  it('refuses what memory cannot hold, before it is allocated', () => {
    const spec = trainingSpec({ training: { optimizer: adam } });
    const { layout } = modelOf(spec);
    requireModelSpace(spec, layout);
    assert.throws(
      () => requireModelSpace(spec, { ...layout, length: 200_000_000 }),
      refusal('LIMIT_EXCEEDED', /4800000000 bytes of tensors/),
    );
    requireStepSpace({ fixed: 1e6, perRow: 1e6 }, 1_000);
    assert.throws(
      () => requireStepSpace({ fixed: 1e6, perRow: 1e6 }, 4_000),
      refusal('LIMIT_EXCEEDED', /use a smaller batch/),
    );
    requireHeapSpace();
    assert.ok(wasmHeapBytes() > 1e6);
  });
});
