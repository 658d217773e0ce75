import type { LayerSpec } from '../layers/layer-schema.js';
import { ones, perAxis } from '../layers/axes.js';
import { elementsOf, type Shape } from '../shape.js';
import { activate } from './onnx-activations.js';
import { permuted, type OnnxGraph, type Value } from './onnx-graph.js';

/** The tensors of a layer by their names within it. */
export type Weights = Readonly<Record<string, { readonly values: Float32Array; readonly shape: Shape }>>;

type Of<T extends LayerSpec['type']> = Extract<LayerSpec, { type: T }>;

/** Zeros before and after each axis: as many as Same padding needs, more of them behind (TensorFlow's rule). */
function padsFor(padding: 'Valid' | 'Same', sizes: Shape, window: Shape, steps: Shape): number[] {
  const all = sizes.map((length, axis) => {
    const step = steps[axis] ?? 1;
    return Math.max((Math.ceil(length / step) - 1) * step + (window[axis] ?? 1) - length, 0);
  });
  const used = padding === 'Same' ? all : all.map(() => 0);
  return [...used.map((zeros) => Math.floor(zeros / 2)), ...used.map((zeros) => Math.ceil(zeros / 2))];
}

/** Kernels of Keras end with inputs and outputs; those of ONNX begin with outputs and inputs. */
function kernelOf(graph: OnnxGraph, { values, shape }: { values: Float32Array; shape: Shape }): string {
  const points = Array.from({ length: shape.length - 2 }, (_, axis) => axis);
  const order = [shape.length - 1, shape.length - 2, ...points];
  return graph.constant(
    permuted(values, shape, order),
    order.map((axis) => shape[axis] ?? 1),
  );
}

const biasOf = (graph: OnnxGraph, bias: Weights[string] | undefined): string[] =>
  bias === undefined ? [] : [graph.constant(bias.values, bias.shape)];

function required(weights: Weights, name: string): Weights[string] {
  const found = weights[name];
  if (found === undefined) throw new TypeError(`a layer without ${name}`);
  return found;
}

export function convolution(
  graph: OnnxGraph,
  spec: Of<'Conv1d' | 'Conv2d' | 'Conv3d'>,
  input: Value,
  output: Shape,
  weights: Weights,
): Value {
  const axes = input.shape.length - 1;
  const window = perAxis(spec.kernelSize, axes, []);
  const strides = perAxis(spec.strides, axes, ones(axes));
  const pads = padsFor(spec.padding, input.shape.slice(0, axes), window, strides);
  const inputs = [
    graph.channelsFirst(input).name,
    kernelOf(graph, required(weights, 'kernel')),
    ...biasOf(graph, weights['bias']),
  ];
  const name = graph.node('Conv', inputs, { kernel_shape: [...window], strides: [...strides], pads });
  return activate(graph, { name, shape: output, channelsFirst: true }, spec.activation);
}

export function transposedConvolution(
  graph: OnnxGraph,
  spec: Of<'Conv2dTranspose'>,
  input: Value,
  output: Shape,
  weights: Weights,
): Value {
  const window = perAxis(spec.kernelSize, 2, []);
  const strides = perAxis(spec.strides, 2, ones(2));
  const attributes = {
    kernel_shape: [...window],
    strides: [...strides],
    // The pads of the convolution whose derivative this is.
    pads: padsFor(spec.padding, output.slice(0, 2), window, strides),
    output_padding: strides.map((step, axis) => Math.max(step - (window[axis] ?? 1), 0)),
  };
  const inputs = [
    graph.channelsFirst(input).name,
    kernelOf(graph, required(weights, 'kernel')),
    ...biasOf(graph, weights['bias']),
  ];
  const name = graph.node('ConvTranspose', inputs, attributes);
  return activate(graph, { name, shape: output, channelsFirst: true }, spec.activation);
}

/** A convolution in as many groups as there are channels; a separable one mixes them behind it. */
export function depthwiseConvolution(
  graph: OnnxGraph,
  spec: Of<'DepthwiseConv2d' | 'SeparableConv2d'>,
  input: Value,
  output: Shape,
  weights: Weights,
): Value {
  const { values, shape } = required(weights, 'depthwise_kernel');
  const [rows = 1, columns = 1, channels = 1, multiplier = 1] = shape;
  const kernel = graph.constant(permuted(values, shape, [2, 3, 0, 1]), [
    channels * multiplier,
    1,
    rows,
    columns,
  ]);
  const window = [rows, columns];
  const strides = perAxis(spec.strides, 2, ones(2));
  const attributes = {
    kernel_shape: window,
    strides: [...strides],
    pads: padsFor(spec.padding, input.shape.slice(0, 2), window, strides),
    group: channels,
  };
  const bias = biasOf(graph, weights['bias']);
  const source = graph.channelsFirst(input).name;
  const mixed = weights['pointwise_kernel'];
  const name =
    mixed === undefined
      ? graph.node('Conv', [source, kernel, ...bias], attributes)
      : graph.node('Conv', [
          graph.node('Conv', [source, kernel], attributes),
          kernelOf(graph, mixed),
          ...bias,
        ]);
  return activate(graph, { name, shape: output, channelsFirst: true }, spec.activation);
}

export function pooling(
  graph: OnnxGraph,
  spec: Of<'MaxPooling1d' | 'MaxPooling2d' | 'AveragePooling1d' | 'AveragePooling2d'>,
  input: Value,
  output: Shape,
): Value {
  const axes = input.shape.length - 1;
  const window = perAxis(spec.poolSize, axes, []);
  const strides = perAxis(spec.strides, axes, window);
  const pads = padsFor(spec.padding, input.shape.slice(0, axes), window, strides);
  const type = spec.type.startsWith('Max') ? 'MaxPool' : 'AveragePool';
  const attributes = { kernel_shape: [...window], strides: [...strides], pads };
  const name = graph.node(type, [graph.channelsFirst(input).name], attributes);
  return { name, shape: output, channelsFirst: true };
}

export function globalPooling(
  graph: OnnxGraph,
  type: 'GlobalAveragePool' | 'GlobalMaxPool',
  input: Value,
  output: Shape,
): Value {
  const pooled = graph.node(type, [graph.channelsFirst(input).name]);
  const sizes = graph.integers([-1, elementsOf(output)]);
  return { name: graph.node('Reshape', [pooled, sizes]), shape: output, channelsFirst: false };
}
