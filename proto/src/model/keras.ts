import type { JsonObject } from '../canonical-json.js';
import type { Activation, LayerSpec } from '../documents/model-spec.js';
import { layerName, layoutOf } from './topology.js';

const KERAS_ACTIVATIONS: Readonly<Record<Activation, string>> = {
  Linear: 'linear',
  Relu: 'relu',
  Sigmoid: 'sigmoid',
  Tanh: 'tanh',
  Softmax: 'softmax',
};

/**
 * The `model.json` of TensorFlow.js (format "layers-model") for a stack of dense layers on `width` inputs. Its one weight
 * file, `weightsPath` relative to it, is the flat vector of the model as little-endian float32, as it lies in the
 * layout. Loads with `loadLayersModel`.
 */
export function kerasModel(layers: readonly LayerSpec[], width: number, weightsPath: string): JsonObject {
  return {
    format: 'layers-model',
    generatedBy: 'Tributary',
    convertedBy: null,
    modelTopology: {
      class_name: 'Sequential',
      config: { name: 'sequential', layers: layers.map((layer, index) => kerasLayer(layer, index, width)) },
      keras_version: 'tfjs-layers 4.22.0',
      backend: 'tensor_flow.js',
    },
    weightsManifest: [
      {
        paths: [weightsPath],
        weights: layoutOf(layers, width).tensors.map(({ name, shape, dtype }) => ({ name, shape, dtype })),
      },
    ],
  };
}

function kerasLayer({ units, activation }: LayerSpec, index: number, width: number): JsonObject {
  return {
    class_name: 'Dense',
    config: {
      name: layerName(index),
      trainable: true,
      dtype: 'float32',
      ...(index === 0 && { batch_input_shape: [null, width] }),
      units,
      activation: KERAS_ACTIVATIONS[activation],
      use_bias: true,
    },
  };
}
