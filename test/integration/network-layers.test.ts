import assert from 'node:assert/strict';

import { startBackend } from '@tributary/edge-agent/internal/adapters/training/backend.js';
import { Network } from '@tributary/edge-agent/internal/adapters/training/network.js';
import {
  elementsOf,
  initialWeights,
  kerasModel,
  LAYER_TYPES,
  layoutOf,
  modelTensors,
  type LayerSpec,
  type Shape,
} from '@tributary/proto';
import {
  memory,
  mul,
  sum,
  tensor,
  tensor2d,
  tidy,
  variableGrads,
  type io,
  type Scalar,
  type Tensor,
} from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';

import { LAYER_CASES, typesWithoutCase, type LayerCase } from '../support/layer-cases.js';
import { SeededRandom } from '../support/seeded-random.js';

const ROWS = 3;

/** Elements of a network whose derivatives are compared, spread over all of them. */
const MOST_ELEMENTS = 40;

/**
 * Distances of the points of the difference quotients, exact in float32. The wide one errs where the network has a
 * kink (a maximum changes hands) between the points, the narrow ones by rounding: one of them must agree.
 */
const STEPS = [2 ** -6, 2 ** -9, 2 ** -11] as const;

function numbers(length: number, seed: number, size = 1): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length }, () => size * (random.uint32() / 2 ** 31 - 1));
}

/** A network with weights that are random everywhere, biases and statistics too. */
function build({ layers, input, indices }: LayerCase) {
  const layout = layoutOf(layers, input);
  const weights = initialWeights(layers, input, 3);
  const noise = numbers(layout.length, 4, 0.3);
  for (const [index, value] of weights.entries()) weights[index] = Math.fround(value + (noise[index] ?? 0));
  for (const { name, offset, shape } of layout.tensors)
    if (name.endsWith('moving_variance'))
      for (let at = offset; at < offset + elementsOf(shape); at += 1)
        weights[at] = Math.abs(weights[at] ?? 0) + 0.1;
  const values = numbers(ROWS * elementsOf(input), 5);
  const rows =
    indices === undefined ? values : values.map((value) => Math.floor(((value + 1) / 2) * indices));
  return { layout, weights, rows, network: new Network(layers, layout, input) };
}

/** A number made of all logits, in double precision; its derivative by the logits is COEFFICIENTS. */
const coefficients = (count: number): Float32Array => numbers(count, 6);

function forward(network: Network, rows: Float32Array, training: boolean): Float32Array {
  network.seedDropout(9);
  return tidy(() =>
    Float32Array.from(network.logits(tensor2d(rows, [ROWS, network.width]), training).dataSync<'float32'>()),
  );
}

function value(network: Network, rows: Float32Array): number {
  const logits = forward(network, rows, true);
  const factors = coefficients(logits.length);
  return logits.reduce((total, logit, index) => total + logit * (factors[index] ?? 0), 0);
}

/** Derivative by every trainable tensor, one behind the other. */
function gradientOf(network: Network, rows: Float32Array): number[] {
  return tidy(() => {
    network.seedDropout(9);
    const input = tensor2d(rows, [ROWS, network.width]);
    const factors = tensor(coefficients(ROWS * network.outputs), [ROWS, network.outputs]);
    const { grads } = variableGrads(
      () => sum<Scalar>(mul(network.logits(input, true), factors)),
      [...network.trainable],
    );
    return network.trainable.flatMap((variable) => [...(grads[variable.name]?.dataSync() ?? [])]);
  });
}

/** Of fourth order. */
function differenceQuotient(
  network: Network,
  weights: Float32Array,
  index: number,
  rows: Float32Array,
  step: number,
): number {
  const at = (steps: number): number => {
    const moved = weights.slice();
    moved[index] = (weights[index] ?? 0) + steps * step;
    network.load(moved);
    return value(network, rows);
  };
  return (at(-2) - 8 * at(-1) + 8 * at(1) - at(2)) / (12 * step);
}

/** Elements of the layout that have gradients. */
function trainableElements(layers: readonly LayerSpec[], input: Shape): number[] {
  const { tensors } = layoutOf(layers, input);
  return modelTensors(layers, input).flatMap(({ trainable, shape }, index) => {
    const offset = tensors[index]?.offset ?? 0;
    return trainable ? Array.from({ length: elementsOf(shape) }, (_, element) => offset + element) : [];
  });
}

for (const backend of ['cpu', 'wasm'] as const)
  describe(`networks of every type of layer on ${backend}`, () => {
    before(() => startBackend(backend));

    it('has a case for every type', () => {
      assert.deepEqual(typesWithoutCase(LAYER_TYPES), []);
    });

    for (const layerCase of LAYER_CASES) {
      describe(layerCase.name, () => {
        it('lays out the tensors that TensorFlow.js has, in its order', async () => {
          const { layers, input } = layerCase;
          const model = await load(layers, input, initialWeights(layers, input, 1));
          const expected = model.layers.flatMap((layer) =>
            layer.weights.map((weight) => [weight.originalName, weight.shape, weight.trainable]),
          );
          const tensors = modelTensors(layers, input);
          assert.deepEqual(
            tensors.map(({ name, shape, trainable }) => [name, shape, trainable]),
            expected,
          );
          model.dispose();
        });

        it('has the gradients of difference quotients', () => {
          const { network, weights, rows } = build(layerCase);
          network.load(weights);
          const gradient = gradientOf(network, rows);
          const elements = trainableElements(layerCase.layers, layerCase.input);
          assert.equal(gradient.length, elements.length);
          for (const [place, element] of elements.entries()) {
            if (place % Math.ceil(elements.length / MOST_ELEMENTS) !== 0) continue;
            const actual = gradient[place] ?? Number.NaN;
            const quotients: number[] = [];
            const agrees = STEPS.some((step) => {
              const expected = differenceQuotient(network, weights, element, rows, step);
              quotients.push(expected);
              return Math.abs(actual - expected) <= 1e-3 * Math.max(1, Math.abs(expected));
            });
            assert.ok(
              agrees,
              `element ${String(element)}: ${String(actual)} is not ${quotients.join(' or ')}`,
            );
          }
          network.dispose();
        });

        it('is the model that is exported', async () => {
          const { network, weights, rows } = build(layerCase);
          network.load(weights);
          const logits = forward(network, rows, false);
          // The network stops before the last activation, and so does this export.
          const model = await load(withoutLastActivation(layerCase.layers), layerCase.input, weights);
          const input = tensor(rows, [ROWS, ...layerCase.input]);
          const output = model.predict(input) as Tensor;
          for (const [index, exported] of output.dataSync().entries())
            assert.ok(
              Math.abs(exported - (logits[index] ?? Number.NaN)) <= 1e-6 * Math.max(1, Math.abs(exported)),
            );
          for (const disposable of [input, output, model, network]) disposable.dispose();
        });

        it('leaves no tensor behind', () => {
          const before = memory().numTensors;
          const { network, rows } = build(layerCase);
          forward(network, rows, true);
          gradientOf(network, rows);
          network.dispose();
          assert.equal(memory().numTensors, before);
        });
      });
    }
  });

describe('state of a network', () => {
  before(() => startBackend('wasm'));

  const caseOf = (name: string): LayerCase => {
    const found = LAYER_CASES.find((candidate) => candidate.name === name);
    assert.ok(found);
    return found;
  };

  it('puts the moving statistics of batch normalization into the delta', () => {
    const { network, weights, rows, layout } = build(caseOf('BatchNormalization'));
    network.load(weights);
    forward(network, rows, false);
    const still = weights.slice();
    network.toDelta(still);
    assert.ok(still.every((change) => change === 0));
    network.load(weights);
    forward(network, rows, true);
    const delta = weights.slice();
    network.toDelta(delta);
    const moved = layout.tensors.filter(({ offset, shape }) =>
      delta.subarray(offset, offset + elementsOf(shape)).every((change) => change !== 0),
    );
    assert.deepEqual(
      moved.map(({ name }) => name),
      ['batchnormalization_1/moving_mean', 'batchnormalization_1/moving_variance'],
    );
    network.dispose();
  });

  it('draws the same masks on every backend', async () => {
    const outputs: number[][] = [];
    for (const backend of ['cpu', 'wasm'] as const) {
      await startBackend(backend);
      const { network, weights, rows } = build(caseOf('Dropout of the input'));
      network.load(weights);
      outputs.push([...forward(network, rows, true)]);
      network.dispose();
    }
    const [cpu = [], wasm = []] = outputs;
    for (const [index, output] of cpu.entries())
      assert.ok(Math.abs(output - (wasm[index] ?? Number.NaN)) < 1e-6);
  });

  it('draws the same dropout masks from the same seeds, others from others, another in every pass', () => {
    const { network, weights, rows } = build(caseOf('Dropout'));
    network.load(weights);
    const pass = (): number[] => [
      ...tidy(() => network.logits(tensor2d(rows, [ROWS, network.width]), true).dataSync()),
    ];
    network.seedDropout(1, 2);
    const [first, second] = [pass(), pass()];
    assert.notDeepEqual(first, second);
    network.seedDropout(1, 2);
    assert.deepEqual([pass(), pass()], [first, second]);
    network.seedDropout(1, 3);
    assert.notDeepEqual(pass(), first);
    network.dispose();
  });

  it('drops as many values as the rate says, and keeps the mean', () => {
    const layers: LayerSpec[] = [
      { type: 'Dropout', rate: 0.25 },
      { type: 'Dense', units: 4_000, activation: 'Linear' },
    ];
    const network = new Network(layers, layoutOf(layers, [1]), [1]);
    network.load(Float32Array.from({ length: 8_000 }, (_, index) => (index < 4_000 ? 1 : 0)));
    network.seedDropout(3);
    const rows = 4_000;
    const outputs = tidy(() =>
      network.logits(tensor2d(new Float32Array(rows).fill(3), [rows, 1]), true).dataSync(),
    );
    const zeros = outputs.filter((output) => output === 0).length / outputs.length;
    assert.ok(Math.abs(zeros - 0.25) < 5 * Math.sqrt((0.25 * 0.75) / rows));
    assert.ok(outputs.every((output) => output === 0 || output === 4));
    network.dispose();
  });
});

function withoutLastActivation(layers: readonly LayerSpec[]): readonly LayerSpec[] {
  const last = layers.at(-1);
  return last !== undefined && 'activation' in last
    ? [...layers.slice(0, -1), { ...last, activation: 'Linear' }]
    : layers;
}

function load(layers: readonly LayerSpec[], input: Shape, weights: Float32Array) {
  const artifacts = JSON.parse(JSON.stringify(kerasModel(layers, input, 'weights.bin'))) as io.ModelJSON;
  return loadLayersModel({
    load: () =>
      Promise.resolve({
        modelTopology: artifacts.modelTopology,
        weightSpecs: artifacts.weightsManifest.flatMap((group) => group.weights),
        weightData: weights.slice().buffer,
      }),
  });
}
