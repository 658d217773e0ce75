import type { JsonObject, JsonValue } from '../canonical-json.js';
import { quote } from '../documents/problem.js';
import { TributaryError } from '../errors/tributary-error.js';
import { layerChain } from './keras-chain.js';
import { KerasConfig, leakySlope } from './keras-config.js';
import { isProblem } from './layers/layer-kind.js';
import { kindOf, LAYER_KINDS, LAYER_TYPES } from './layers/layer-kinds.js';
import { layerSchema, type LayerSpec } from './layers/layer-schema.js';
import { elementsOf, type Shape } from './shape.js';

/**
 * Reads the architecture in a `model.json` of TensorFlow.js (format "layers-model") or in what `model.to_json()` of
 * Keras 2 and 3 gives: a Sequential, or a Functional model that is one chain. `input` is the shape of an encoded row; a
 * model on another shape of as many elements gets a Reshape in front. Where `input` is undefined, that of the file
 * stands for it. Regularizers, constraints and trainable flags
 * are refused like everything else that the layers of a job cannot say.
 *
 * Throws DOCUMENT_INVALID where the value is no such file, DOCUMENT_UNSUPPORTED naming the layer and the member that
 * are not served.
 */
export function layersFromKeras(model: JsonValue, input?: Shape): readonly LayerSpec[] {
  const chain = layerChain(model);
  const start = inputOf(chain.map(({ config }) => config)) ?? input ?? [1];
  if (input !== undefined && elementsOf(start) !== elementsOf(input))
    throw new TributaryError(
      'DOCUMENT_INVALID',
      `the model takes rows of shape [${start.join(', ')}], the features of the job give [${input.join(', ')}]`,
      { hint: 'Change the features, or the input shape of the model.' },
    );
  const layers: LayerSpec[] =
    input === undefined || start.join() === input.join()
      ? []
      : [{ type: 'Reshape', targetShape: [...start] }];
  let shape: Shape = start;
  for (const { className, config, where, modular } of chain) {
    if (className === 'InputLayer') continue;
    if (modular) requireOneHardSigmoid(config, where);
    const layer = readLayer(className, config, where, shape);
    const output = kindOf(layer).output(layer, shape);
    if (isProblem(output))
      throw new TributaryError('DOCUMENT_INVALID', `${where}: ${output.what}`, { hint: `${output.fix}.` });
    shape = output;
    layers.push(layer);
  }
  return withoutIdle(joined(layers));
}

/** In files that name modules the word means x/6 + 0.5 (Keras 3) or 0.2 x + 0.5 (late Keras 2), and nothing says which. */
function requireOneHardSigmoid(config: JsonObject, where: string): void {
  const reader = new KerasConfig(where, config);
  if (reader.get('recurrent_activation') === 'hard_sigmoid')
    throw reader.refuse('recurrent_activation', 'hard_sigmoid means different functions in Keras 2 and 3');
}

/** Sizes of a row by the first layer that names them; unknown sizes (null) count as not named. */
function inputOf(configs: readonly JsonObject[]): Shape | undefined {
  const [first] = configs;
  if (first === undefined) return undefined;
  const config = new KerasConfig('', first);
  const shape = config.get('batch_input_shape') ?? config.get('batch_shape');
  if (!Array.isArray(shape)) return undefined;
  const sizes = shape.slice(1) as readonly JsonValue[];
  return sizes.length > 0 && sizes.every((size) => typeof size === 'number') ? sizes : undefined;
}

/** Regularizers and constraints are part of the training, which the job describes. */
const PARTS = ['kernel', 'bias', 'activity', 'depthwise', 'pointwise', 'beta', 'gamma'] as const;

function readLayer(className: string, config: JsonObject, where: string, shape: Shape): LayerSpec {
  const reader = new KerasConfig(where, config);
  reader.require({ trainable: true });
  reader.requireAbsent(...PARTS.flatMap((part) => [`${part}_regularizer`, `${part}_constraint`]));
  const layer = activationLayer(className, reader) ?? namedLayer(className, reader, shape);
  const parsed = layerSchema.safeParse(layer);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new TributaryError(
    'DOCUMENT_INVALID',
    `${where}: ${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'malformed'}`,
  );
}

function namedLayer(className: string, reader: KerasConfig, shape: Shape): LayerSpec {
  const type = LAYER_TYPES.find((candidate) => LAYER_KINDS[candidate].className === className);
  if (type === undefined) throw reader.refuse('class_name', `the layer ${quote(className)} is not served`);
  return LAYER_KINDS[type].fromKeras(reader, shape);
}

/** Activations that Keras has as layers of their own. */
function activationLayer(className: string, reader: KerasConfig): LayerSpec | undefined {
  switch (className) {
    case 'LeakyReLU':
      return { type: 'Activation', activation: 'LeakyRelu', slope: leakySlope(reader) };
    case 'ReLU':
      reader.require({ negative_slope: 0, threshold: 0 });
      reader.requireAbsent('max_value');
      return { type: 'Activation', activation: 'Relu' };
    case 'ELU':
      reader.require({ alpha: 1 });
      return { type: 'Activation', activation: 'Elu' };
    case 'Softmax':
      reader.require({ axis: -1 });
      return { type: 'Activation', activation: 'Softmax' };
    default:
      return undefined;
  }
}

/** A last Dense without activation and the Activation behind it are one layer: what a task asks of the last layer. */
function joined(layers: readonly LayerSpec[]): readonly LayerSpec[] {
  const [before, last] = layers.slice(-2);
  if (before?.type !== 'Dense' || last?.type !== 'Activation') return layers;
  if (before.activation !== 'Linear' || last.slope !== undefined) return layers;
  return [...layers.slice(0, -2), { ...before, activation: last.activation }];
}

/** Activations that do nothing, as some writers leave them. */
function withoutIdle(layers: readonly LayerSpec[]): readonly LayerSpec[] {
  return layers.filter(
    (layer, index) =>
      index === layers.length - 1 || layer.type !== 'Activation' || layer.activation !== 'Linear',
  );
}
