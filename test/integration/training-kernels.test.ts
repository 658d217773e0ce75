import assert from 'node:assert/strict';

import { backend, getKernelsForBackend, memory, unregisterKernel } from '@tensorflow/tfjs-core';
import {
  elementsOf,
  initialWeights,
  LAYER_TYPES,
  layoutOf,
  lossesOf,
  type FederatedJobSpec,
  type LayerSpec,
  type OptimizerSpec,
} from '@tributary/proto';
import { startBackend, type BackendName } from '@tributary/edge-agent/internal/adapters/training/backend.js';
import {
  registerTrainingKernels,
  TRAINING_KERNELS,
} from '@tributary/edge-agent/internal/adapters/training/kernels/register.js';
import { Network } from '@tributary/edge-agent/internal/adapters/training/network.js';
import { TrainingStep } from '@tributary/edge-agent/internal/adapters/training/training-step.js';

import { assertClose, randomValues } from '../support/backend-comparison.js';
import { LAYER_CASES, typesWithoutCase, type LayerCase } from '../support/layer-cases.js';
import { SeededRandom } from '../support/seeded-random.js';
import { trainingSpec } from '../support/training-job.js';

const ROWS = 5;

interface Choice {
  readonly task?: FederatedJobSpec['task'];
  readonly optimizer?: OptimizerSpec;
  readonly loss?: FederatedJobSpec['training']['loss'];
}

const MULTI_CLASS: FederatedJobSpec['task'] = { type: 'MultiClass', classes: ['a', 'b'] };

/** A network, a step for it and the rows of one batch, the same on every backend. */
function prepare({ layers, input, indices }: LayerCase, choice: Choice = {}) {
  const random = new SeededRandom(21);
  const network = new Network(layers, layoutOf(layers, input), input);
  const weights = initialWeights(layers, input, 4);
  network.load(weights);
  network.seedDropout(9);
  const values = randomValues(random, [ROWS, elementsOf(input)]);
  const rows =
    indices === undefined ? values : values.map((value) => Math.floor(((value + 1) / 2) * indices));
  const { training } = trainingSpec();
  const step = new TrainingStep(network, {
    task: choice.task ?? MULTI_CLASS,
    training: {
      ...training,
      optimizer: choice.optimizer ?? { type: 'Sgd', learningRate: 0.1 },
      loss: choice.loss,
      l2: 0.01,
    },
  });
  return { network, step, weights, rows, labels: Float32Array.from({ length: ROWS }, (_, row) => row % 2) };
}

/** The weights after `steps` steps on a backend, and the summed loss of the last. */
async function trained(name: BackendName, layerCase: LayerCase, choice?: Choice, steps = 1) {
  await startBackend(name);
  const before = memory().numTensors;
  const { network, step, weights, rows, labels } = prepare(layerCase, choice);
  let loss = Number.NaN;
  for (let done = 0; done < steps; done += 1) loss = step.run(rows, labels);
  const result = network.read();
  step.dispose();
  network.dispose();
  assert.equal(memory().numTensors, before, 'tensors are left');
  return { weights, result, loss };
}

async function assertTrainsAlike(layerCase: LayerCase, choice?: Choice): Promise<void> {
  const expected = await trained('cpu', layerCase, choice);
  const actual = await trained('wasm', layerCase, choice);
  assert.ok(Number.isFinite(expected.loss));
  assertClose([actual.loss], [expected.loss], 'loss');
  assertClose(actual.result, expected.result, 'weights');
  assert.notDeepEqual(actual.result, actual.weights, 'no weight changed');
}

const dense = (units: number, activation: 'Tanh' | 'Linear'): LayerSpec => ({
  type: 'Dense',
  units,
  activation,
});
const plain = (outputs: number): LayerCase => ({
  name: 'plain',
  input: [4],
  layers: [dense(3, 'Tanh'), dense(outputs, 'Linear')],
});

describe('one step of training on wasm gives the weights of cpu', () => {
  it('for every type of layer that there is', () => {
    assert.deepEqual(typesWithoutCase(LAYER_TYPES), []);
  });

  for (const layerCase of LAYER_CASES) {
    it(layerCase.name, () => assertTrainsAlike(layerCase));
  }

  const optimizers: readonly OptimizerSpec[] = [
    { type: 'Sgd', learningRate: 0.1 },
    { type: 'Momentum', learningRate: 0.1, momentum: 0.9 },
    { type: 'Adam', learningRate: 0.01 },
    { type: 'RmsProp', learningRate: 0.01, decay: 0.9 },
    { type: 'Adagrad', learningRate: 0.1 },
    { type: 'Adadelta', learningRate: 1 },
    { type: 'Adamax', learningRate: 0.01 },
  ];
  for (const optimizer of optimizers) {
    it(`with ${optimizer.type}`, () => assertTrainsAlike(plain(2), { optimizer }));
  }

  const tasks: readonly FederatedJobSpec['task'][] = [
    { type: 'Binary', positive: 'yes' },
    MULTI_CLASS,
    { type: 'Regression' },
  ];
  for (const task of tasks) {
    for (const loss of lossesOf(task.type)) {
      it(`with ${loss} of ${task.type}`, () =>
        assertTrainsAlike(plain(task.type === 'MultiClass' ? 2 : 1), { task, loss }));
    }
  }
});

describe('training kernels over time', () => {
  const network: LayerCase = {
    name: 'all families',
    input: [8, 8, 2],
    layers: [
      { type: 'Conv2d', filters: 3, kernelSize: [3], padding: 'Same', activation: 'Relu' },
      { type: 'MaxPooling2d', poolSize: [2], padding: 'Valid' },
      { type: 'DepthwiseConv2d', kernelSize: [2], padding: 'Valid', depthMultiplier: 2, activation: 'Relu' },
      { type: 'AveragePooling2d', poolSize: [2], strides: [1], padding: 'Valid' },
      { type: 'Flatten' },
      dense(4, 'Tanh'),
      dense(2, 'Linear'),
    ],
  };

  it('leave no tensor and take no more of the heap in 1,000 steps', async () => {
    await startBackend('wasm');
    const { network: model, step, rows, labels } = prepare(network);
    const steps = (count: number): void => {
      for (let done = 0; done < count; done += 1) step.run(rows, labels);
    };
    steps(10);
    const before = { tensors: memory().numTensors, bytes: memory().numBytes, heap: heapBytes() };
    steps(1_000);
    assert.deepEqual({ tensors: memory().numTensors, bytes: memory().numBytes, heap: heapBytes() }, before);
    step.dispose();
    model.dispose();
  });

  it('give the same bits in every run', async () => {
    const first = await trained('wasm', network, undefined, 20);
    const second = await trained('wasm', network, undefined, 20);
    assert.deepEqual(second.result, first.result);
    assert.equal(second.loss, first.loss);
  });
});

describe('registration of the training kernels', () => {
  const registered = () => new Set(getKernelsForBackend('wasm'));

  it('happens once, and does not touch other backends', async () => {
    await startBackend('wasm');
    const [wasm, cpu] = [registered(), new Set(getKernelsForBackend('cpu'))];
    registerTrainingKernels();
    assert.deepEqual(registered(), wasm);
    assert.deepEqual(new Set(getKernelsForBackend('cpu')), cpu);
  });

  it('brings back a kernel that is missing', async () => {
    await startBackend('wasm');
    unregisterKernel('Conv2DBackpropFilter', 'wasm');
    registerTrainingKernels();
    const names = getKernelsForBackend('wasm').map(({ kernelName }) => kernelName);
    for (const { kernelName } of TRAINING_KERNELS) assert.ok(names.includes(kernelName), kernelName);
  });
});

/** Bytes of the heap that the backend has, which only ever grows. */
function heapBytes(): number {
  return (backend() as unknown as { readonly wasm: { readonly HEAPU8: Uint8Array } }).wasm.HEAPU8.byteLength;
}
