import assert from 'node:assert/strict';

import {
  digestOf,
  initialWeights,
  kerasModel,
  layoutOf,
  LIMITS,
  METRIC_NAMES,
  METRICS,
  metricFits,
  outputOf,
  parameterCount,
  publicRandom,
  type Layout,
} from '@tributary/proto';
import { splitMix64, xoshiro128 } from '@tributary/proto/internal/model/public-random.js';
import '@tensorflow/tfjs-backend-cpu';
import { ready, setBackend, tensor2d, type io, type Tensor } from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';
import fc from 'fast-check';

type Activation = 'Linear' | 'Relu' | 'Sigmoid' | 'Tanh' | 'Softmax';
type DenseLayer = { type: 'Dense'; units: number; activation: Activation };

const dense = (units: number, activation: Activation): DenseLayer => ({
  type: 'Dense',
  units,
  activation,
});
const layers = [dense(16, 'Relu'), dense(1, 'Sigmoid')];

const layerList = fc.array(
  fc.record({
    type: fc.constant('Dense' as const),
    units: fc.integer({ min: 1, max: 20 }),
    activation: fc.constantFrom(
      'Linear' as const,
      'Relu' as const,
      'Sigmoid' as const,
      'Tanh' as const,
      'Softmax' as const,
    ),
  }),
  { minLength: 1, maxLength: 4 },
);
const width = fc.integer({ min: 1, max: 20 });

describe('layoutOf', () => {
  it('lays kernel and bias of each layer one behind the other', () => {
    assert.deepEqual(layoutOf(layers, [20]), {
      length: 353,
      tensors: [
        { name: 'dense_0/kernel', shape: [20, 16], dtype: 'float32', offset: 0 },
        { name: 'dense_0/bias', shape: [16], dtype: 'float32', offset: 320 },
        { name: 'dense_1/kernel', shape: [16, 1], dtype: 'float32', offset: 336 },
        { name: 'dense_1/bias', shape: [1], dtype: 'float32', offset: 352 },
      ],
    });
  });

  it('has no gaps, and as many elements as parameterCount says', () => {
    fc.assert(
      fc.property(layerList, width, (list, inputs) => {
        const layout = layoutOf(list, [inputs]);
        let offset = 0;
        for (const tensor of layout.tensors) {
          assert.equal(tensor.offset, offset);
          offset += tensor.shape.reduce((product, size) => product * size, 1);
        }
        assert.equal(offset, layout.length);
        assert.equal(parameterCount(list, [inputs]), layout.length);
      }),
    );
  });

  it('refuses more parameters than the limit', () => {
    assert.throws(() => layoutOf([dense(65_536, 'Relu')], [65_536]), { code: 'LIMIT_EXCEEDED' });
  });
});

describe('outputOf', () => {
  it('fits the task', () => {
    assert.deepEqual(outputOf({ type: 'Binary', positive: 'a' }), { units: 1, activation: 'Sigmoid' });
    assert.deepEqual(outputOf({ type: 'MultiClass', classes: ['a', 'b'] }), {
      units: 2,
      activation: 'Softmax',
    });
    assert.deepEqual(outputOf({ type: 'Regression' }), { units: 1, activation: 'Linear' });
  });
});

describe('publicRandom', () => {
  it('is xoshiro128**, by the test data of github.com/edorfaus/xoshiro-6502 (test-rom/testdata.asm)', () => {
    const { nextUint32 } = xoshiro128([0x964d4a0c, 0xd40ab895, 0xad7fdecb, 0x3006f0f0]);
    assert.deepEqual([1, 2, 3, 4].map(nextUint32), [0xf1391922, 0x6fe53806, 0xa5be2840, 0xf510ee70]);
  });

  it('is seeded by SplitMix64, by the figures of rosettacode.org (Pseudo-random numbers/Splitmix64)', () => {
    const next = splitMix64(1_234_567n);
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => next()),
      [
        6457827717110365317n,
        3203168211198807973n,
        9817491932198370423n,
        4593380528125082431n,
        16408922859458223821n,
      ],
    );
  });

  it('gives units in [0, 1) with the mean and variance of the uniform distribution', () => {
    const { nextUnit } = publicRandom(3);
    const values = Array.from({ length: 100_000 }, nextUnit);
    assert.ok(values.every((value) => value >= 0 && value < 1 && Math.fround(value) === value));
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    assert.ok(Math.abs(mean - 0.5) < 5 * Math.sqrt(1 / 12 / values.length));
    assert.ok(Math.abs(variance - 1 / 12) < 0.001);
  });

  it('differs from seed to seed', () => {
    const first = new Set(Array.from({ length: 1_000 }, (_, seed) => publicRandom(seed).nextUint32()));
    assert.equal(first.size, 1_000);
  });
});

describe('initialWeights', () => {
  it('is the same everywhere', () => {
    const weights = initialWeights(layers, [20], 7);
    assert.equal(
      digestOf(new Uint8Array(weights.buffer)),
      'sha256:4c4be0e0a4df03cc1d59cb79c57869ab58cd165d43384c2a1a82e0fa74b76abe',
    );
    assert.notDeepEqual(initialWeights(layers, [20], 8), weights);
  });

  it('is Glorot uniform in kernels and 0 in biases', () => {
    const weights = initialWeights([dense(200, 'Relu')], [300], 1);
    const kernel = weights.subarray(0, 60_000);
    const limit = Math.sqrt(6 / 500);
    assert.ok(kernel.every((value) => Math.abs(value) <= limit));
    const variance = kernel.reduce((sum, value) => sum + value ** 2, 0) / kernel.length;
    assert.ok(Math.abs(variance / (2 / 500) - 1) < 0.02);
    assert.ok(weights.subarray(60_000).every((value) => value === 0));
  });
});

describe('kerasModel', () => {
  before(async () => {
    await setBackend('cpu');
    await ready();
  });

  it('loads in tfjs-layers, which predicts what a plain loop does', async () => {
    await fc.assert(
      fc.asyncProperty(
        layerList,
        width,
        fc.integer({ min: 0, max: 0xffff_ffff }),
        async (list, inputs, seed) => {
          const layout = layoutOf(list, [inputs]);
          const { nextUnit } = publicRandom(seed);
          const weights = Float32Array.from({ length: layout.length }, () => 2 * nextUnit() - 1);
          const rows = [0, 1, 2].map(() =>
            Array.from({ length: inputs }, () => Math.fround(4 * nextUnit() - 2)),
          );
          const expected = rows.map((row) => plainPrediction(list, layout, weights, row));
          const predicted = await tfjsPrediction(list, inputs, weights, rows);
          for (const [row, outputs] of expected.entries()) {
            assert.equal(predicted[row]?.length, outputs.length);
            for (const [unit, value] of outputs.entries()) {
              const other = predicted[row]?.[unit] ?? NaN;
              assert.ok(
                Math.abs(other - value) <= 1e-5 * Math.max(1, Math.abs(value)),
                `${String(other)} is not ${String(value)}`,
              );
            }
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  it('names its one weight file and each tensor of the layout', () => {
    const { weightsManifest } = kerasModel(layers, [20], 'weights.bin');
    const weights = layoutOf(layers, [20]).tensors.map(({ name, shape, dtype }) => ({ name, shape, dtype }));
    assert.deepEqual(weightsManifest, [{ paths: ['weights.bin'], weights }]);
  });
});

describe('METRICS', () => {
  it('all fit behind the weight, the loss and the test weight in the tail of an update', () => {
    assert.ok(3 + METRIC_NAMES.length <= LIMITS.tailElements);
  });

  it('fits each metric to tasks, and each task to metrics', () => {
    for (const name of METRIC_NAMES)
      assert.ok(METRICS[name].tasks.length > 0 && METRICS[name].documentation.length > 0);
    assert.deepEqual(
      METRIC_NAMES.filter((name) => metricFits(name, 'Binary')),
      [
        'auc',
        'averagePrecision',
        'accuracy',
        'f1',
        'logLoss',
        'brier',
        'calibrationError',
        'calibrationSlope',
        'calibrationIntercept',
      ],
    );
    assert.deepEqual(
      METRIC_NAMES.filter((name) => metricFits(name, 'MultiClass')),
      ['accuracy', 'f1', 'logLoss', 'calibrationError'],
    );
    assert.deepEqual(
      METRIC_NAMES.filter((name) => metricFits(name, 'Regression')),
      ['rmse', 'mae', 'r2'],
    );
  });
});

async function tfjsPrediction(
  list: DenseLayer[],
  inputs: number,
  weights: Float32Array,
  rows: number[][],
): Promise<number[][]> {
  const artifacts = JSON.parse(JSON.stringify(kerasModel(list, [inputs], 'weights.bin'))) as io.ModelJSON;
  const weightSpecs = artifacts.weightsManifest.flatMap((group) => group.weights);
  const weightData = new Uint8Array(weights.buffer).slice().buffer;
  const handler = {
    load: () => Promise.resolve({ modelTopology: artifacts.modelTopology, weightSpecs, weightData }),
  };
  const model = await loadLayersModel(handler);
  const input = tensor2d(rows);
  const output = model.predict(input) as Tensor;
  const values = (await output.array()) as number[][];
  for (const disposable of [input, output, model]) disposable.dispose();
  return values;
}

/** Float64 forward pass of dense layers over the flat vector. */
function plainPrediction(list: DenseLayer[], layout: Layout, weights: Float32Array, row: number[]): number[] {
  return list.reduce((inputs, { units, activation }, index) => {
    const kernel = layout.tensors[2 * index]?.offset ?? NaN;
    const bias = layout.tensors[2 * index + 1]?.offset ?? NaN;
    const sums = Array.from({ length: units }, (_, unit) =>
      inputs.reduce(
        (sum, input, from) => sum + input * (weights[kernel + from * units + unit] ?? NaN),
        weights[bias + unit] ?? NaN,
      ),
    );
    return activate(sums, activation);
  }, row);
}

function activate(sums: number[], activation: Activation): number[] {
  switch (activation) {
    case 'Linear':
      return sums;
    case 'Relu':
      return sums.map((sum) => Math.max(0, sum));
    case 'Sigmoid':
      return sums.map((sum) => 1 / (1 + Math.exp(-sum)));
    case 'Tanh':
      return sums.map(Math.tanh);
    case 'Softmax': {
      const powers = sums.map((sum) => Math.exp(sum - Math.max(...sums)));
      const total = powers.reduce((sum, power) => sum + power, 0);
      return powers.map((power) => power / total);
    }
  }
}
