import { TributaryError } from '../../errors/tributary-error.js';
import { LIMITS } from '../../limits.js';
import { tensorView } from '../../parameters/layout.js';
import { SOFTWARE_VERSION } from '../../versions.js';
import { kindOf } from '../layers/layer-kinds.js';
import type { LayerSpec } from '../layers/layer-schema.js';
import type { Shape } from '../shape.js';
import { layerShapes, layoutOf } from '../topology.js';
import { OnnxGraph, type Value } from './onnx-graph.js';
import { translateLayer } from './onnx-layers.js';
import { modelMessage, valueMessage } from './onnx-messages.js';
import type { Weights } from './onnx-windows.js';

/** Names of the graph's input, float32 [rows, ...shape of a row], and of its output, [rows, outputs]. */
export const ONNX_INPUT = 'input';
export const ONNX_OUTPUT = 'output';

export interface OnnxOptions {
  readonly name: string;
  /** For people and tools; not read by runtimes. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * A network as an ONNX model (IR version 8, operator set 18) that holds its weights: the file is the chunks one behind
 * the other. `input` is the shape of a row, channels last, as everywhere; `weights` are laid out by layoutOf. Dense,
 * convolutional and normalising layers, pooling, embeddings and activations; throws DOCUMENT_UNSUPPORTED naming
 * any other, LIMIT_EXCEEDED where the weights are too large for one file.
 */
export function onnxModel(
  layers: readonly LayerSpec[],
  input: Shape,
  weights: Float32Array,
  { name, metadata }: OnnxOptions,
): readonly Uint8Array[] {
  if (weights.byteLength > LIMITS.onnxBytes)
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `an ONNX file has at most ${String(LIMITS.onnxBytes)} bytes of weights`,
    );
  const shapes = layerShapes(layers, input);
  const parts = weightsByLayer(layers, shapes, weights);
  const graph = new OnnxGraph();
  let value: Value = { name: ONNX_INPUT, shape: input, channelsFirst: false };
  for (const [index, spec] of layers.entries()) {
    const place = { input: value, output: shapes[index + 1] ?? input, weights: parts[index] ?? {} };
    value = translateLayer(graph, spec, place);
  }
  graph.node('Identity', [graph.channelsLast(value).name], {}, ONNX_OUTPUT);
  return modelMessage(
    {
      name,
      nodes: graph.nodes,
      tensors: graph.tensors,
      input: valueMessage(ONNX_INPUT, ['rows', ...input]),
      output: valueMessage(ONNX_OUTPUT, ['rows', ...value.shape]),
    },
    SOFTWARE_VERSION,
    metadata,
  );
}

function weightsByLayer(
  layers: readonly LayerSpec[],
  shapes: readonly Shape[],
  weights: Float32Array,
): readonly Weights[] {
  const { tensors } = layoutOf(layers, shapes[0] ?? []);
  let next = 0;
  return layers.map((spec, index) => {
    const own = kindOf(spec).tensors(spec, shapes[index] ?? []);
    const places = tensors.slice(next, next + own.length);
    next += own.length;
    return Object.fromEntries(
      places.map((place, position) => [
        own[position]?.name ?? place.name,
        { values: tensorView(weights, place), shape: place.shape },
      ]),
    );
  });
}
