import assert from 'node:assert/strict';

import {
  initialWeights,
  LAYER_TYPES,
  layerShapes,
  layoutOf,
  LIMITS,
  modelTensors,
  parameterCount,
  type LayerSpec,
  type LearningTask,
  type Shape,
} from '@tributary/proto';
import { topologyProblems } from '@tributary/proto/internal/model/topology.js';
import fc from 'fast-check';

import { LAYER_CASES } from '../../support/layer-cases.js';

const binary: LearningTask = { type: 'Binary', positive: 'yes' };
const last: LayerSpec = { type: 'Dense', units: 1, activation: 'Sigmoid' };
const conv1d: LayerSpec = {
  type: 'Conv1d',
  filters: 2,
  kernelSize: [3],
  padding: 'Valid',
  activation: 'Relu',
};
const embedding: LayerSpec = { type: 'Embedding', inputDim: 5, outputDim: 2 };

/** Problems as `path: what`. */
const problemsOf = (
  layers: readonly LayerSpec[],
  input: Shape,
  indices?: readonly (number | undefined)[],
): string[] =>
  topologyProblems(layers, binary, input, indices).map(({ path, what }) => `${path.join('.')}: ${what}`);

describe('topologyProblems', () => {
  const CASES: readonly [string, readonly LayerSpec[], Shape, readonly string[]][] = [
    [
      'a convolution over single values',
      [conv1d, last],
      [8],
      ['0.type: Conv1d takes [length, channels] and gets [8]'],
    ],
    [
      'a window that is too large',
      [conv1d, { type: 'Flatten' }, last],
      [2, 1],
      ['0.kernelSize: the window is larger than its input [2]'],
    ],
    [
      'sizes for too many axes',
      [{ ...conv1d, kernelSize: [3, 3] }, { type: 'Flatten' }, last],
      [8, 1],
      ['0.kernelSize: has 2 values for 1 axes'],
    ],
    [
      'an output of two axes',
      [conv1d, last],
      [8, 1],
      ['1: the last layer of a task of type Binary has the output [1], not [6, 1]'],
    ],
    [
      'no last layer for the loss',
      [
        { type: 'Dense', units: 4, activation: 'Relu' },
        { type: 'Dropout', rate: 0.5 },
      ],
      [8],
      ['1.type: the last layer of a task of type Binary is Dense or an Activation'],
    ],
    [
      'a Reshape of another size',
      [{ type: 'Reshape', targetShape: [3, 3] }, { type: 'Flatten' }, last],
      [8],
      ['0.targetShape: has 9 elements, and the input [8] has 8'],
    ],
    [
      'a border of three sides',
      [{ type: 'ZeroPadding2d', border: [1, 1, 1] }, { type: 'Flatten' }, last],
      [2, 2, 1],
      ['0.border: has 3 values'],
    ],
    [
      'a slope of another activation',
      [{ type: 'Activation', activation: 'Relu', slope: 0.1 }, last],
      [8],
      ['0.slope: is for LeakyRelu, not Relu'],
    ],
    [
      'shared axes that are not there',
      [{ type: 'PRelu', sharedAxes: [1, 2] }, last],
      [8],
      ['0.sharedAxes.1: the input has only 1 axes'],
    ],
    [
      'unequal steps of a depthwise kernel',
      [
        {
          type: 'DepthwiseConv2d',
          kernelSize: [1],
          strides: [1, 2],
          padding: 'Valid',
          depthMultiplier: 1,
          activation: 'Linear',
        },
        { type: 'Flatten' },
        last,
      ],
      [4, 4, 1],
      ['0.strides: rows and columns have different steps'],
    ],
    [
      'too many recurrent units',
      [{ type: 'Gru', units: 2_000, returnSequences: false, recurrentActivation: 'Sigmoid' }, last],
      [8, 1],
      ['0.units: must be at most 1024 here'],
    ],
    [
      'the same inside Bidirectional',
      [
        {
          type: 'Bidirectional',
          merge: 'Concat',
          layer: { type: 'SimpleRnn', units: 2_000, returnSequences: false },
        },
        last,
      ],
      [8, 1],
      ['0.layer.units: must be at most 1024 here'],
    ],
    [
      'nothing to learn',
      [{ type: 'Flatten' }, { type: 'Activation', activation: 'Sigmoid' }],
      [1],
      [': no layer has weights that can be learned'],
    ],
    [
      'growth without bound',
      [
        ...Array.from({ length: 8 }, (): LayerSpec => ({ type: 'UpSampling2d', size: [64] })),
        { type: 'Flatten' },
        last,
      ],
      [4, 4, 1],
      [`1: its output [16384, 16384, 1] has more than ${String(LIMITS.activationElements)} elements`],
    ],
    [
      'Softmax in the middle',
      [{ type: 'Dense', units: 2, activation: 'Softmax' }, last],
      [8],
      ['0.activation: Softmax belongs to the last layer'],
    ],
  ];
  for (const [what, layers, input, expected] of CASES)
    it(`names ${what}`, () => {
      assert.deepEqual(problemsOf(layers, input), expected);
    });

  it('takes an Activation at the end, and a model that fits', () => {
    const pooled: LayerSpec[] = [
      { ...conv1d, filters: 1 },
      { type: 'GlobalMaxPooling1d' },
      { type: 'Activation', activation: 'Sigmoid' },
    ];
    assert.deepEqual(problemsOf(pooled, [8, 1]), []);
  });

  it('lets an Embedding see indices only, and none beyond its table', () => {
    const layers: LayerSpec[] = [embedding, { type: 'Flatten' }, last];
    assert.deepEqual(problemsOf(layers, [2], [5, 3]), []);
    assert.deepEqual(problemsOf(layers, [2], [5, 6]), [
      '0.inputDim: the features have 6 indices, unknown ones included',
    ]);
    assert.deepEqual(problemsOf(layers, [2], [5, undefined]), ['0.type: Embedding takes indices only']);
    const late: LayerSpec[] = [{ type: 'Dropout', rate: 0.1 }, ...layers];
    assert.deepEqual(problemsOf(late, [2], [5, 3]), ['1.type: Embedding takes indices only']);
  });

  it('is empty exactly where the layers have a layout', () => {
    const layer = fc.constantFrom(...LAYER_CASES.flatMap(({ layers }) => layers));
    const input = fc.constantFrom<Shape>([4], [12], [6, 2], [5, 4, 2], [3, 4, 3, 2]);
    fc.assert(
      fc.property(fc.array(layer, { minLength: 1, maxLength: 5 }), input, (layers, shape) => {
        let fits = true;
        try {
          layoutOf([...layers, { type: 'Flatten' }, last], shape);
        } catch {
          fits = false;
        }
        const problems = problemsOf([...layers, { type: 'Flatten' }, last], shape, [5]);
        const ofShape = problems.filter((problem) => !/Softmax|Embedding takes indices/.test(problem));
        assert.equal(ofShape.length === 0, fits, problems.join('\n'));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('initial weights of every type', () => {
  for (const { name, layers, input } of LAYER_CASES)
    it(`are finite, as many as the layout has, and the same for the same seed: ${name}`, () => {
      const weights = initialWeights(layers, input, 8);
      assert.equal(weights.length, parameterCount(layers, input));
      assert.ok(weights.every(Number.isFinite));
      assert.deepEqual(initialWeights(layers, input, 8), weights);
    });

  it('follow the rule of each tensor', () => {
    const layers: LayerSpec[] = [
      { type: 'Lstm', units: 16, returnSequences: true, recurrentActivation: 'Sigmoid' },
      { type: 'BatchNormalization', momentum: 0.9, epsilon: 0.001 },
      conv1d,
    ];
    const input = [9, 3];
    const weights = initialWeights(layers, input, 8);
    const { tensors } = layoutOf(layers, input);
    const valuesOf = (name: string): Float32Array => {
      const found = tensors.find((tensor) => tensor.name === name);
      assert.ok(found);
      return weights.subarray(
        found.offset,
        found.offset + found.shape.reduce((product, size) => product * size, 1),
      );
    };
    const recurrent = valuesOf('lstm_0/recurrent_kernel');
    for (let first = 0; first < 16; first += 1)
      for (let second = 0; second < 16; second += 1) {
        let dot = 0;
        for (let column = 0; column < 64; column += 1)
          dot += (recurrent[first * 64 + column] ?? 0) * (recurrent[second * 64 + column] ?? 0);
        assert.ok(Math.abs(dot - Number(first === second)) < 1e-6, String(dot));
      }
    const bias = [...valuesOf('lstm_0/bias')];
    assert.deepEqual(
      bias,
      Array.from({ length: 64 }, (_, index) => Number(index >= 16 && index < 32)),
    );
    assert.ok(valuesOf('batchnormalization_1/moving_variance').every((value) => value === 1));
    assert.ok(valuesOf('batchnormalization_1/moving_mean').every((value) => value === 0));
    // 3 points, 16 channels in, 2 out.
    const limit = Math.sqrt(6 / (3 * 16 + 3 * 2));
    const kernel = valuesOf('conv1d_2/kernel');
    assert.ok(
      kernel.every((value) => Math.abs(value) <= limit) &&
        kernel.some((value) => Math.abs(value) > limit / 2),
    );
  });

  it('name each tensor once, and shapes before and after each layer', () => {
    for (const { layers, input } of LAYER_CASES) {
      const names = modelTensors(layers, input).map(({ name }) => name);
      assert.equal(new Set(names).size, names.length);
      assert.equal(layerShapes(layers, input).length, layers.length + 1);
    }
    assert.equal(LAYER_TYPES.length, 29);
    assert.throws(() => layerShapes([conv1d], [4]), { code: 'INVALID_ARGUMENT' });
  });
});
