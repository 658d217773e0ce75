import assert from 'node:assert/strict';

import {
  elementsOf,
  initialWeights,
  kerasModel,
  layoutOf,
  ONNX_INPUT,
  ONNX_OUTPUT,
  onnxModel,
  type LayerSpec,
  type Shape,
} from '@tributary/proto';
import { startBackend } from '@tributary/edge-agent/internal/adapters/training/backend.js';
import { tensor, type io, type Tensor } from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';
import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node';

import { LAYER_CASES, type LayerCase } from '../support/layer-cases.js';
import { refusal } from '../support/refusal.js';
import { SeededRandom } from '../support/seeded-random.js';

const RECURRENT = new Set<LayerSpec['type']>(['SimpleRnn', 'Lstm', 'Gru', 'Bidirectional']);
const isRecurrent = ({ layers }: LayerCase): boolean => layers.some(({ type }) => RECURRENT.has(type));

const conv: Pick<Extract<LayerSpec, { type: 'Conv2d' }>, 'kernelSize' | 'padding' | 'activation'> = {
  kernelSize: [3],
  padding: 'Same',
  activation: 'Relu',
};
const batchNormalization: LayerSpec = { type: 'BatchNormalization', momentum: 0.99, epsilon: 0.001 };

/** Whole models of the sizes that people train. */
const MODELS: readonly LayerCase[] = [
  {
    name: 'dense network of three classes',
    input: [20],
    layers: [
      { type: 'Dense', units: 64, activation: 'Relu' },
      batchNormalization,
      { type: 'Dropout', rate: 0.2 },
      { type: 'Dense', units: 3, activation: 'Softmax' },
    ],
  },
  {
    name: 'electrocardiogram',
    input: [256, 1],
    layers: [
      { type: 'Conv1d', filters: 32, ...conv, kernelSize: [7] },
      { type: 'MaxPooling1d', poolSize: [2], padding: 'Valid' },
      { type: 'Conv1d', filters: 64, ...conv, kernelSize: [5] },
      batchNormalization,
      { type: 'AveragePooling1d', poolSize: [2], padding: 'Same' },
      { type: 'Conv1d', filters: 64, ...conv },
      { type: 'GlobalAveragePooling1d' },
      { type: 'Dense', units: 5, activation: 'Softmax' },
    ],
  },
  {
    name: 'image from a flat row',
    input: [400],
    layers: [
      { type: 'Reshape', targetShape: [20, 20, 1] },
      { type: 'Conv2d', filters: 8, ...conv, kernelSize: [5, 3], strides: [2] },
      batchNormalization,
      { type: 'SeparableConv2d', filters: 12, ...conv, depthMultiplier: 2 },
      { type: 'MaxPooling2d', poolSize: [3], strides: [2], padding: 'Same' },
      { type: 'UpSampling2d', size: [2] },
      { type: 'Conv2dTranspose', filters: 6, ...conv, strides: [2] },
      { type: 'AveragePooling2d', poolSize: [3], strides: [2], padding: 'Same' },
      { type: 'Flatten' },
      { type: 'Dense', units: 1, activation: 'Sigmoid' },
    ],
  },
];

function numbers(length: number, seed: number, size: number): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length }, () => size * (random.uint32() / 2 ** 31 - 1));
}

/** Initial weights, moved a little so that no bias is 0 and no scale 1; variances stay positive. */
function weightsOf(layers: readonly LayerSpec[], input: Shape): Float32Array {
  const weights = initialWeights(layers, input, 5);
  const noise = numbers(weights.length, 6, 0.2);
  return weights.map((value, index) => value + (noise[index] ?? 0));
}

async function tfjsOutput(
  { layers, input }: LayerCase,
  weights: Float32Array,
  rows: Float32Array,
  count: number,
): Promise<Float32Array> {
  const { modelTopology, weightsManifest } = kerasModel(
    layers,
    input,
    'weights.bin',
  ) as unknown as io.ModelJSON;
  const model = await loadLayersModel({
    load: () =>
      Promise.resolve({
        modelTopology,
        weightSpecs: weightsManifest.flatMap((group) => group.weights),
        weightData: weights.slice().buffer,
      }),
  });
  const given = tensor(rows, [count, ...input]);
  const output = model.predict(given) as Tensor;
  const values = Float32Array.from(output.dataSync());
  for (const disposable of [given, output, model]) disposable.dispose();
  return values;
}

describe('ONNX export', () => {
  before(() => startBackend('cpu'));

  for (const layerCase of [...MODELS, ...LAYER_CASES.filter((candidate) => !isRecurrent(candidate))]) {
    it(`computes in onnxruntime what TensorFlow.js does: ${layerCase.name}`, async () => {
      const { layers, input, indices } = layerCase;
      const weights = weightsOf(layers, input);
      const chunks = onnxModel(layers, input, weights, { name: 'trial', metadata: { seed: '5' } });
      const session = await InferenceSession.create(Buffer.concat(chunks));
      for (const count of [1, 7]) {
        const values = numbers(count * elementsOf(input), 7 + count, 2);
        const rows =
          indices === undefined ? values : values.map((value) => Math.floor(((value + 2) / 4) * indices));
        const expected = await tfjsOutput(layerCase, weights, rows, count);
        const results = await session.run({
          [ONNX_INPUT]: new OnnxTensor('float32', rows, [count, ...input]),
        });
        const actual = results[ONNX_OUTPUT];
        assert.ok(actual);
        assert.equal(actual.size, expected.length);
        assert.equal(actual.dims[0], count);
        for (const [index, value] of expected.entries()) {
          const other = Number(actual.data[index]);
          assert.ok(
            Math.abs(other - value) <= 1e-5 * Math.max(1, Math.abs(value)),
            `${String(other)} is not ${String(value)}`,
          );
        }
      }
      await session.release();
    });
  }

  it('refuses recurrent layers by name', () => {
    for (const layerCase of LAYER_CASES.filter(isRecurrent)) {
      const { layers, input } = layerCase;
      assert.throws(
        () =>
          onnxModel(layers, input, new Float32Array(layoutOf(layers, input).length), {
            name: 'x',
            metadata: {},
          }),
        refusal(
          'DOCUMENT_UNSUPPORTED',
          /a model with (SimpleRnn|Lstm|Gru|Bidirectional) is not exported to ONNX/,
        ),
      );
    }
  });
});
