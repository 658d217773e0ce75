import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';

import type { FederatedJobInput, FederatedJobSpec } from '@tributary/proto';
import { startBackend, type BackendName } from '@tributary/edge-agent/internal/adapters/training/backend.js';
import { Network } from '@tributary/edge-agent/internal/adapters/training/network.js';
import { chooseBackend } from '@tributary/edge-agent/internal/adapters/training/probe.js';
import { trainEpochs } from '@tributary/edge-agent/internal/adapters/training/training-loop.js';
import { TrainingStep } from '@tributary/edge-agent/internal/adapters/training/training-step.js';
import { EncodedRows } from '@tributary/edge-agent/internal/adapters/datasets/encoded-rows.js';
import { getKernel, memory, registerKernel, unregisterKernel } from '@tensorflow/tfjs-core';

import { referenceGradient } from '../support/dense-reference.js';
import { refusal } from '../support/refusal.js';
import { SeededRandom } from '../support/seeded-random.js';
import { modelOf, trainingSpec } from '../support/training-job.js';

type Parts = Partial<FederatedJobInput['spec']>;
type Layers = NonNullable<Parts['model']>['layers'];

const model = (layers: Layers): NonNullable<Parts['model']> => ({ name: 'trial', layers, seed: 5 });
const dense = (
  units: number,
  activation: 'Relu' | 'Tanh' | 'Sigmoid' | 'Softmax' | 'Linear',
): Layers[number] => ({ type: 'Dense', units, activation });

const MODELS: readonly [string, Parts][] = [
  ['logistic regression', { model: model([dense(1, 'Sigmoid')]) }],
  ['binary, Tanh and Relu', { model: model([dense(5, 'Tanh'), dense(4, 'Relu'), dense(1, 'Sigmoid')]) }],
  [
    'three classes, Sigmoid',
    {
      task: { type: 'MultiClass', classes: ['a', 'b', 'c'] },
      model: model([dense(6, 'Sigmoid'), dense(3, 'Softmax')]),
      evaluation: { metrics: [] },
    },
  ],
  [
    'regression, Relu and Linear',
    {
      task: { type: 'Regression' },
      model: model([dense(6, 'Relu'), dense(3, 'Linear'), dense(1, 'Linear')]),
      evaluation: { metrics: [] },
    },
  ],
];
const OPTIMIZERS = [
  { type: 'Sgd', learningRate: 0.1 },
  { type: 'Momentum', learningRate: 0.1, momentum: 0.8 },
  { type: 'Adam', learningRate: 0.01 },
] as const;

const WIDTH = 5;
const ROWS = 7;
const random = new SeededRandom(3);
const rows = Array.from({ length: ROWS }, () =>
  Array.from({ length: WIDTH }, () => Math.fround(random.uint32() / 2 ** 31 - 1)),
);
const labelsFor = (parts: Parts): number[] =>
  rows.map((_, row) =>
    parts.task?.type === 'Regression' ? row / 2 - 1 : row % (parts.task === undefined ? 2 : 3),
  );

/** A network with small biases too, so that their gradients matter, and its flat weights. */
function build(parts: Parts) {
  const spec = trainingSpec({ training: { ...OPTIMIZER_FREE, optimizer: OPTIMIZERS[0] }, ...parts });
  const { layout, weights } = modelOf(spec);
  const start = weights.map((value, index) => value + 0.01 * (index % 5));
  const network = new Network(spec.model.layers, layout, [WIDTH]);
  network.load(start);
  return { spec, layout, start, network };
}
const OPTIMIZER_FREE = { epochs: 1, batchSize: ROWS, l2: 0.03 };

function nearVector(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (let index = 0; index < expected.length; index += 1) {
    const error = Math.abs((actual[index] ?? Number.NaN) - (expected[index] ?? 0));
    assert.ok(
      error <= tolerance,
      `element ${String(index)}: ${String(actual[index])} is not ${String(expected[index])}`,
    );
  }
}

for (const backend of ['wasm', 'cpu'] as const satisfies readonly BackendName[]) {
  describe(`dense network on ${backend}`, () => {
    before(() => startBackend(backend));

    for (const [name, parts] of MODELS) {
      it(`${name}: loss and gradients are those of plain loops`, () => {
        const { spec, layout, start, network } = build(parts);
        const step = new TrainingStep(network, spec);
        const labels = labelsFor(parts);
        const expected = referenceGradient(spec, layout, start, rows, labels);
        const { loss, byVariable } = step.gradients(
          Float32Array.from(rows.flat()),
          Float32Array.from(labels),
        );
        assert.ok(Math.abs(loss / ROWS - expected.loss) < 1e-5);
        nearVector(
          network.variables.flatMap((variable) => [...(byVariable[variable.name]?.dataSync() ?? [])]),
          expected.gradient,
          1e-5,
        );
        for (const gradient of Object.values(byVariable)) gradient.dispose();
        step.dispose();
        network.dispose();
      });
    }

    for (const optimizer of OPTIMIZERS) {
      it(`${optimizer.type}: five steps are those of its paper's update`, () => {
        const { spec, layout, start, network } = build({
          ...MODELS[1]?.[1],
          training: { ...OPTIMIZER_FREE, optimizer },
        });
        const labels = labelsFor({});
        const step = new TrainingStep(network, spec);
        for (let count = 0; count < 5; count += 1)
          step.run(Float32Array.from(rows.flat()), Float32Array.from(labels));
        const delta = start.slice();
        network.toDelta(delta);
        const expected = plainSteps(
          optimizer,
          start,
          (weights) => referenceGradient(spec, layout, weights, rows, labels).gradient,
        );
        nearVector(
          delta,
          expected.map((value, index) => value - (start[index] ?? 0)),
          2e-5,
        );
        step.dispose();
        network.dispose();
      });

      it(`${optimizer.type}: 1,000 steps and the end of training leave no tensor behind`, () => {
        const before = memory().numTensors;
        const { spec, network } = build({
          ...MODELS[1]?.[1],
          training: { epochs: 1_000, batchSize: ROWS, optimizer },
        });
        const data = new EncodedRows(WIDTH, tmpdir());
        for (const [index, row] of rows.entries()) data.append(index % 2).set(row);
        const counts: number[] = [];
        const step = new TrainingStep(network, spec);
        trainEpochs({
          step,
          rows: data,
          spec,
          round: 1,
          hooks: {
            poll: () => {
              counts.push(memory().numTensors);
            },
            progress: () => undefined,
          },
        });
        assert.equal(counts.length, 1_000);
        assert.equal(new Set(counts.slice(1)).size, 1);
        step.dispose();
        network.dispose();
        assert.equal(memory().numTensors, before);
      });
    }

    it('refuses a layout of another model', () => {
      const { layout } = modelOf(trainingSpec(MODELS[1]?.[1]));
      assert.throws(
        () => new Network(trainingSpec(MODELS[0]?.[1]).model.layers, layout, [WIDTH]),
        refusal('TRAINING_FAILED', /\[5,1\] \[1\]/),
      );
    });
  });
}

describe('choice of a backend', () => {
  const modelWith = (spec: FederatedJobSpec) => ({ spec, layout: modelOf(spec).layout, input: [WIDTH] });

  it('takes wasm for every kind of dense model', async () => {
    for (const [, parts] of MODELS) {
      const { backend, refused, memory: step } = await chooseBackend(modelWith(trainingSpec(parts)));
      assert.deepEqual([backend, refused], ['wasm', []]);
      assert.ok(step.fixed > 0 && step.perRow > 4 * WIDTH, JSON.stringify(step));
    }
  });

  it('goes on to cpu where wasm lacks a kernel, and names the kernel', async () => {
    const kernel = getKernel('Tanh', 'wasm');
    unregisterKernel('Tanh', 'wasm');
    try {
      const { backend, refused } = await chooseBackend(modelWith(trainingSpec()));
      assert.equal(backend, 'cpu');
      assert.deepEqual(refused, [{ backend: 'wasm', reason: 'the kernel Tanh is missing', absent: false }]);
    } finally {
      registerKernel(kernel);
    }
  });

  it('says why none serves', async () => {
    const { backend, refused } = await chooseBackend(modelWith(trainingSpec()), ['none' as BackendName]);
    assert.equal(backend, undefined);
    assert.match(refused[0]?.reason ?? '', /does not start/);
  });
});

/** Five steps of an optimizer by its formula. */
function plainSteps(
  optimizer: (typeof OPTIMIZERS)[number],
  start: Float32Array,
  gradientAt: (weights: Float64Array) => Float64Array,
): Float64Array {
  const weights = Float64Array.from(start);
  const first = new Float64Array(weights.length);
  const second = new Float64Array(weights.length);
  for (let time = 1; time <= 5; time += 1) {
    for (const [index, gradient] of gradientAt(weights).entries()) {
      const decay = optimizer.type === 'Momentum' ? optimizer.momentum : optimizer.type === 'Adam' ? 0.9 : 0;
      first[index] = decay * (first[index] ?? 0) + (optimizer.type === 'Adam' ? 0.1 : 1) * gradient;
      second[index] = 0.999 * (second[index] ?? 0) + 0.001 * gradient ** 2;
      const adam = first[index] / (1 - 0.9 ** time) / (Math.sqrt(second[index] / (1 - 0.999 ** time)) + 1e-7);
      weights[index] =
        (weights[index] ?? 0) - optimizer.learningRate * (optimizer.type === 'Adam' ? adam : first[index]);
    }
  }
  return weights;
}
