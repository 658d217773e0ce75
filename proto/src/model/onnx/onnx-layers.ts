import { TributaryError } from '../../errors/tributary-error.js';
import { perAxis } from '../layers/axes.js';
import type { LayerSpec } from '../layers/layer-schema.js';
import { bordersOf } from '../layers/shaping.js';
import type { Shape } from '../shape.js';
import { activate } from './onnx-activations.js';
import type { OnnxGraph, Value } from './onnx-graph.js';
import {
  convolution,
  depthwiseConvolution,
  globalPooling,
  pooling,
  transposedConvolution,
  type Weights,
} from './onnx-windows.js';

/** Where a layer is translated: its input, the shape of its output, its tensors. */
export interface Place {
  readonly input: Value;
  readonly output: Shape;
  readonly weights: Weights;
}

type Translate = (graph: OnnxGraph, spec: never, place: Place) => Value;

const window =
  <S>(translate: (graph: OnnxGraph, spec: S, input: Value, output: Shape, weights: Weights) => Value) =>
  (graph: OnnxGraph, spec: S, { input, output, weights }: Place): Value =>
    translate(graph, spec, input, output, weights);

const asGlobal =
  (type: 'GlobalAveragePool' | 'GlobalMaxPool') =>
  (graph: OnnxGraph, _: LayerSpec, { input, output }: Place): Value =>
    globalPooling(graph, type, input, output);

type Of<T extends LayerSpec['type']> = Extract<LayerSpec, { type: T }>;

/** Constants of a layer by name. */
function constantOf(graph: OnnxGraph, weights: Weights, name: string): string {
  const found = weights[name];
  if (found === undefined) throw new TypeError(`a layer without ${name}`);
  return graph.constant(found.values, found.shape);
}

function dense(graph: OnnxGraph, spec: Of<'Dense'>, { input, output, weights }: Place): Value {
  const source = graph.channelsLast(input).name;
  const product = graph.node('MatMul', [source, constantOf(graph, weights, 'kernel')]);
  const name =
    weights['bias'] === undefined
      ? product
      : graph.node('Add', [product, constantOf(graph, weights, 'bias')]);
  return activate(graph, { name, shape: output, channelsFirst: false }, spec.activation);
}

function batchNormalization(
  graph: OnnxGraph,
  spec: Of<'BatchNormalization'>,
  { input, weights }: Place,
): Value {
  const source = graph.channelsFirst(input);
  const names = ['gamma', 'beta', 'moving_mean', 'moving_variance'];
  const constants = names.map((name) => constantOf(graph, weights, name));
  const attributes = { epsilon: { float: spec.epsilon } };
  return { ...source, name: graph.node('BatchNormalization', [source.name, ...constants], attributes) };
}

function layerNormalization(
  graph: OnnxGraph,
  spec: Of<'LayerNormalization'>,
  { input, weights }: Place,
): Value {
  const source = graph.channelsLast(input);
  const inputs = [source.name, constantOf(graph, weights, 'gamma'), constantOf(graph, weights, 'beta')];
  const attributes = { axis: -1, epsilon: { float: spec.epsilon } };
  return { ...source, name: graph.node('LayerNormalization', inputs, attributes) };
}

function embedding(graph: OnnxGraph, _: Of<'Embedding'>, { input, output, weights }: Place): Value {
  const indices = graph.node('Cast', [input.name], { to: 7 });
  const name = graph.node('Gather', [constantOf(graph, weights, 'embeddings'), indices], { axis: 0 });
  return { name, shape: output, channelsFirst: false };
}

function upSampling(graph: OnnxGraph, spec: Of<'UpSampling2d'>, { input, output }: Place): Value {
  const source = graph.channelsFirst(input).name;
  const factors = graph.constant(Float32Array.of(1, 1, ...perAxis(spec.size, 2, [])), [4]);
  const attributes = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
  const name = graph.node('Resize', [source, '', factors], attributes);
  return { name, shape: output, channelsFirst: true };
}

function zeroPadding(graph: OnnxGraph, spec: Of<'ZeroPadding2d'>, { input, output }: Place): Value {
  const source = graph.channelsLast(input).name;
  const [top, bottom, left, right] = bordersOf(spec.border) ?? [0, 0, 0, 0];
  const pads = graph.integers([0, top, left, 0, 0, bottom, right, 0]);
  return { name: graph.node('Pad', [source, pads]), shape: output, channelsFirst: false };
}

function prelu(graph: OnnxGraph, _: Of<'PRelu'>, { input, weights }: Place): Value {
  const source = graph.channelsLast(input);
  return { ...source, name: graph.node('PRelu', [source.name, constantOf(graph, weights, 'alpha')]) };
}

const translations: { readonly [T in LayerSpec['type']]?: Translate } = {
  Dense: dense,
  Conv1d: window(convolution),
  Conv2d: window(convolution),
  Conv3d: window(convolution),
  Conv2dTranspose: window(transposedConvolution),
  DepthwiseConv2d: window(depthwiseConvolution),
  SeparableConv2d: window(depthwiseConvolution),
  MaxPooling1d: window(pooling),
  MaxPooling2d: window(pooling),
  AveragePooling1d: window(pooling),
  AveragePooling2d: window(pooling),
  GlobalAveragePooling1d: asGlobal('GlobalAveragePool'),
  GlobalAveragePooling2d: asGlobal('GlobalAveragePool'),
  GlobalMaxPooling1d: asGlobal('GlobalMaxPool'),
  GlobalMaxPooling2d: asGlobal('GlobalMaxPool'),
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  Dropout: (_, __, { input }) => input,
  Embedding: embedding,
  Flatten: (graph, _, { input, output }) => graph.reshape(input, output),
  Reshape: (graph, _, { input, output }) => graph.reshape(input, output),
  UpSampling2d: upSampling,
  ZeroPadding2d: zeroPadding,
  Activation: (graph, spec: Of<'Activation'>, { input }) =>
    activate(graph, input, spec.activation, spec.slope),
  PRelu: prelu,
};

/** Adds the operators of a layer. Throws DOCUMENT_UNSUPPORTED for recurrent layers. */
export function translateLayer(graph: OnnxGraph, spec: LayerSpec, place: Place): Value {
  const translate = translations[spec.type];
  if (translate !== undefined) return translate(graph, spec as never, place);
  throw new TributaryError('DOCUMENT_UNSUPPORTED', `a model with ${spec.type} is not exported to ONNX`, {
    hint: 'Export it for TensorFlow.js: --format tfjs.',
  });
}
