import type { LayerSpec, LayerType, Shape } from '@tributary/proto';

/** A small network for each type of layer: an input, layers, and what makes the type worth a case of its own. */
export interface LayerCase {
  readonly name: string;
  readonly input: Shape;
  readonly layers: readonly LayerSpec[];
  /** Inputs are indices below this number. */
  readonly indices?: number;
}

const dense = (units: number, activation: 'Linear' | 'Tanh' = 'Linear'): LayerSpec => ({
  type: 'Dense',
  units,
  activation,
});
/** Weights before a layer, so that its derivative by its input matters. */
const first = dense(2, 'Tanh');
const end: readonly LayerSpec[] = [{ type: 'Flatten' }, dense(2)];
const conv = { filters: 3, kernelSize: [2], padding: 'Valid', activation: 'Tanh' } as const;
const line: Shape = [6, 2];
const image: Shape = [5, 4, 2];

const onImage = (layer: LayerSpec, name: string = layer.type): LayerCase => ({
  name,
  input: image,
  layers: [first, layer, ...end],
});
const onLine = (layer: LayerSpec, name: string = layer.type, closing = end): LayerCase => ({
  name,
  input: line,
  layers: [first, layer, ...closing],
});
const activated = (activation: Extract<LayerSpec, { type: 'Activation' }>['activation']): LayerCase => ({
  name: `Dense with ${activation}`,
  input: [4],
  layers: [{ type: 'Dense', units: 3, activation }, dense(2)],
});

export const LAYER_CASES: readonly LayerCase[] = [
  { name: 'Dense', input: [4], layers: [dense(3, 'Tanh'), dense(2)] },
  {
    name: 'Dense without bias',
    input: [4],
    layers: [{ type: 'Dense', units: 3, activation: 'Tanh', bias: false }, dense(2)],
  },
  onLine({ type: 'Dense', units: 3, activation: 'Tanh' }, 'Dense at each step'),
  onLine({ type: 'Conv1d', ...conv, kernelSize: [2] }),
  onLine(
    { type: 'Conv1d', ...conv, kernelSize: [3], strides: [2], padding: 'Same' },
    'Conv1d with strides and Same',
  ),
  onImage({ type: 'Conv2d', ...conv, kernelSize: [2] }),
  onImage(
    { type: 'Conv2d', ...conv, kernelSize: [3, 2], strides: [2, 1], padding: 'Same' },
    'Conv2d with strides and Same',
  ),
  onImage({ type: 'Conv2d', ...conv, kernelSize: [1] }, 'Conv2d 1x1'),
  onImage({ type: 'Conv2d', ...conv, kernelSize: [2], bias: false }, 'Conv2d without bias'),
  onImage({ type: 'Conv2dTranspose', ...conv, kernelSize: [3, 2], strides: [2] }),
  onImage(
    { type: 'Conv2dTranspose', ...conv, kernelSize: [3], strides: [2], padding: 'Same' },
    'Conv2dTranspose with Same',
  ),
  {
    name: 'Conv3d',
    input: [3, 4, 3, 2],
    layers: [first, { type: 'Conv3d', ...conv, kernelSize: [2] }, ...end],
  },
  onImage({
    type: 'DepthwiseConv2d',
    kernelSize: [2, 3],
    padding: 'Valid',
    depthMultiplier: 2,
    activation: 'Tanh',
  }),
  onImage(
    {
      type: 'DepthwiseConv2d',
      kernelSize: [3],
      strides: [2],
      padding: 'Same',
      depthMultiplier: 1,
      activation: 'Linear',
    },
    'DepthwiseConv2d with Same',
  ),
  onImage({ type: 'SeparableConv2d', ...conv, kernelSize: [2], depthMultiplier: 2 }),
  onLine({ type: 'MaxPooling1d', poolSize: [2], padding: 'Valid' }),
  onImage({ type: 'MaxPooling2d', poolSize: [2], padding: 'Valid' }),
  onImage({ type: 'MaxPooling2d', poolSize: [3], strides: [2], padding: 'Same' }, 'MaxPooling2d with Same'),
  onLine({ type: 'AveragePooling1d', poolSize: [3], strides: [2], padding: 'Same' }),
  onImage({ type: 'AveragePooling2d', poolSize: [2, 1], padding: 'Valid' }),
  onLine({ type: 'Conv1d', ...conv, kernelSize: [2] }, 'GlobalAveragePooling1d', [
    { type: 'GlobalAveragePooling1d' },
    dense(2),
  ]),
  {
    name: 'GlobalAveragePooling2d',
    input: image,
    layers: [{ type: 'Conv2d', ...conv, kernelSize: [2] }, { type: 'GlobalAveragePooling2d' }, dense(2)],
  },
  onLine({ type: 'Conv1d', ...conv, kernelSize: [2] }, 'GlobalMaxPooling1d', [
    { type: 'GlobalMaxPooling1d' },
    dense(2),
  ]),
  {
    name: 'GlobalMaxPooling2d',
    input: image,
    layers: [{ type: 'Conv2d', ...conv, kernelSize: [2] }, { type: 'GlobalMaxPooling2d' }, dense(2)],
  },
  {
    name: 'BatchNormalization',
    input: [4],
    layers: [dense(3, 'Tanh'), { type: 'BatchNormalization', momentum: 0.9, epsilon: 0.01 }, dense(2)],
  },
  onImage({ type: 'BatchNormalization', momentum: 0.9, epsilon: 0.01 }, 'BatchNormalization of channels'),
  onLine({ type: 'LayerNormalization', epsilon: 0.01 }),
  { name: 'Dropout', input: [4], layers: [dense(6, 'Tanh'), { type: 'Dropout', rate: 0.5 }, dense(2)] },
  { name: 'Dropout of the input', input: [6], layers: [{ type: 'Dropout', rate: 0.25 }, dense(2)] },
  {
    name: 'Embedding',
    input: [5],
    indices: 7,
    layers: [{ type: 'Embedding', inputDim: 7, outputDim: 3 }, ...end],
  },
  { name: 'Flatten', input: line, layers: end },
  {
    name: 'Reshape',
    input: [12],
    layers: [{ type: 'Reshape', targetShape: [3, 4] }, { type: 'Conv1d', ...conv, kernelSize: [2] }, ...end],
  },
  onLine({ type: 'SimpleRnn', units: 3, returnSequences: false }, 'SimpleRnn', [dense(2)]),
  onLine({ type: 'Lstm', units: 3, returnSequences: false, recurrentActivation: 'Sigmoid' }, 'Lstm', [
    dense(2),
  ]),
  onLine(
    { type: 'Lstm', units: 3, returnSequences: true, recurrentActivation: 'HardSigmoid', bias: false },
    'Lstm of every step',
  ),
  onLine({ type: 'Gru', units: 3, returnSequences: false, recurrentActivation: 'Sigmoid' }, 'Gru', [
    dense(2),
  ]),
  onLine(
    { type: 'Gru', units: 3, returnSequences: true, recurrentActivation: 'HardSigmoid' },
    'Gru of every step',
  ),
  onLine(
    {
      type: 'Bidirectional',
      layer: { type: 'Lstm', units: 2, returnSequences: false, recurrentActivation: 'Sigmoid' },
      merge: 'Concat',
    },
    'Bidirectional',
    [dense(2)],
  ),
  onLine(
    {
      type: 'Bidirectional',
      layer: { type: 'Gru', units: 2, returnSequences: true, recurrentActivation: 'Sigmoid' },
      merge: 'Multiply',
    },
    'Bidirectional of every step',
  ),
  onLine(
    {
      type: 'Bidirectional',
      layer: { type: 'SimpleRnn', units: 2, returnSequences: false },
      merge: 'Average',
    },
    'Bidirectional average',
    [dense(2)],
  ),
  onImage({ type: 'UpSampling2d', size: [2, 3] }),
  onImage({ type: 'ZeroPadding2d', border: [1, 0, 2, 1] }),
  {
    name: 'Activation',
    input: [4],
    layers: [dense(3), { type: 'Activation', activation: 'Tanh' }, dense(2)],
  },
  {
    name: 'Activation at the end',
    input: line,
    layers: [
      { type: 'Conv1d', ...conv, filters: 2, kernelSize: [2] },
      { type: 'GlobalAveragePooling1d' },
      { type: 'Activation', activation: 'Softmax' },
    ],
  },
  {
    name: 'LeakyRelu',
    input: [4],
    layers: [dense(3), { type: 'Activation', activation: 'LeakyRelu', slope: 0.1 }, dense(2)],
  },
  { name: 'PRelu', input: [4], layers: [dense(3), { type: 'PRelu' }, dense(2)] },
  onImage({ type: 'PRelu', sharedAxes: [1, 2] }, 'PRelu of each channel'),
  ...(['Relu', 'Sigmoid', 'Elu', 'Selu', 'Softplus', 'LeakyRelu', 'Swish', 'Mish'] as const).map(activated),
];

/** Types that no case has; empty, or a type has been added without one. */
export function typesWithoutCase(types: readonly LayerType[]): readonly LayerType[] {
  const met = new Set(LAYER_CASES.flatMap(({ layers }) => layers.map(({ type }) => type)));
  return types.filter((type) => !met.has(type));
}
