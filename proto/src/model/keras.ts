import type { JsonObject } from '../canonical-json.js';
import type { LayerSpec } from './layers/layer-schema.js';
import { LEAKY_SLOPE } from './layers/fields.js';
import { kindOf } from './layers/layer-kinds.js';
import type { KerasLayer } from './layers/layer-kind.js';
import type { Shape } from './shape.js';
import { layerName, layoutOf } from './topology.js';

/**
 * The `model.json` of TensorFlow.js (format "layers-model") for a network on rows of shape `input`. Its one weight
 * file, `weightsPath` relative to it, is the flat vector of the model as little-endian float32, as it lies in the
 * layout. Loads with `loadLayersModel`.
 */
export function kerasModel(layers: readonly LayerSpec[], input: Shape, weightsPath: string): JsonObject {
  return {
    format: 'layers-model',
    generatedBy: 'Tributary',
    convertedBy: null,
    modelTopology: {
      class_name: 'Sequential',
      config: {
        name: 'sequential',
        layers: kerasLayers(layers, input).map(({ className, config }) => ({
          class_name: className,
          config,
        })),
      },
      keras_version: 'tfjs-layers 4.22.0',
      backend: 'tensor_flow.js',
    },
    weightsManifest: [
      {
        paths: [weightsPath],
        weights: layoutOf(layers, input).tensors.map(({ name, shape, dtype }) => ({ name, shape, dtype })),
      },
    ],
  };
}

/** The layers of Keras that are a network: one for each of ours, and one more for each LeakyRelu behind another. */
export function kerasLayers(layers: readonly LayerSpec[], input: Shape): readonly KerasLayer[] {
  const list = layers.flatMap((spec, index) => describe(spec, layerName(spec.type, index)));
  const [first, ...others] = list;
  if (first === undefined) return [];
  const { name, trainable, dtype, ...rest } = first.config;
  const config = { name, trainable, dtype, batch_input_shape: [null, ...input], ...rest } as JsonObject;
  return [{ ...first, config }, ...others];
}

function describe(spec: LayerSpec, name: string): KerasLayer[] {
  const kind = kindOf(spec);
  const leaky = 'activation' in spec && spec.activation === 'LeakyRelu';
  if (leaky && spec.type === 'Activation') return [leakyLayer(name, spec.slope ?? LEAKY_SLOPE)];
  const config = { ...common(name), ...kind.toKeras(spec) };
  const layer = { className: kind.className, config };
  return leaky ? [layer, leakyLayer(`${name}_leaky`, LEAKY_SLOPE)] : [layer];
}

const leakyLayer = (name: string, alpha: number): KerasLayer => ({
  className: 'LeakyReLU',
  config: { ...common(name), alpha },
});

const common = (name: string): JsonObject => ({ name, trainable: true, dtype: 'float32' });
