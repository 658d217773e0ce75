import { serialization } from '@tensorflow/tfjs-core';
import type { layers as layersNamespace } from '@tensorflow/tfjs-layers';
import {
  kerasLayers,
  TributaryError,
  type JsonObject,
  type JsonValue,
  type LayerSpec,
  type Shape,
} from '@tributary/proto';

import { ExactAveragePooling, ExactUpSampling } from './exact-gradients.js';
import { SeededDropout, type DropoutSource } from './seeded-dropout.js';

type Layer = InstanceType<typeof layersNamespace.Layer>;

/** Weights are loaded before use, so that nothing random or slow (an orthogonal matrix) is worth computing. */
const NO_START = {
  kernelInitializer: 'zeros',
  recurrentInitializer: 'zeros',
  depthwiseInitializer: 'zeros',
  pointwiseInitializer: 'zeros',
  embeddingsInitializer: 'zeros',
  unitForgetBias: false,
};

/**
 * The layers of TensorFlow.js for those of a job, up to the logits: the activation of the last one is left out. They
 * are made from the description that is exported as model.json, so that what trains is what is exported; only those
 * that TensorFlow.js cannot repeat or differentiate are ours.
 */
export function networkLayers(
  specs: readonly LayerSpec[],
  input: Shape,
  source: DropoutSource,
): readonly Layer[] {
  return kerasLayers(withoutLastActivation(specs), input).map(
    ({ className, config }) => ownLayer(className, config, source) ?? libraryLayer(className, config),
  );
}

function withoutLastActivation(specs: readonly LayerSpec[]): readonly LayerSpec[] {
  const last = specs.at(-1);
  if (last?.type !== 'Dense' && last?.type !== 'Activation') return specs;
  return [...specs.slice(0, -1), { ...last, activation: 'Linear' }];
}

function ownLayer(className: string, config: JsonObject, source: DropoutSource): Layer | undefined {
  const { name, batch_input_shape: batchShape, padding } = config;
  const naming = {
    name: name as string,
    ...(Array.isArray(batchShape) && { inputShape: batchShape.slice(1) as number[] }),
  };
  const pair = (key: string): [number, number] => {
    const [first = 1, second = 1] = config[key] as readonly number[];
    return [first, second];
  };
  switch (className) {
    case 'Dropout':
      return new SeededDropout({ ...naming, rate: Number(config['rate']) }, source);
    case 'UpSampling2D':
      return new ExactUpSampling(naming, pair('size'));
    case 'AveragePooling1D':
    case 'AveragePooling2D': {
      const axes = className === 'AveragePooling1D' ? 1 : 2;
      return padding === 'same'
        ? new ExactAveragePooling(naming, axes, pair('pool_size'), pair('strides'))
        : undefined;
    }
    default:
      return undefined;
  }
}

function libraryLayer(className: string, config: JsonObject): Layer {
  const known = serialization.SerializationMap.getMap().classNameMap[className];
  if (known === undefined) throw new TributaryError('INTERNAL', `no layer ${className} in TensorFlow.js`);
  const [layerClass, fromConfig] = known;
  return fromConfig(layerClass, withoutStart(className, inMemory(config) as JsonObject)) as Layer;
}

/** A configuration as a file has it, in the camelCase that TensorFlow.js takes in memory. Names stay as they are. */
function inMemory(value: JsonValue, key = ''): JsonValue {
  if (typeof value === 'string') return key === 'name' ? value : camelCase(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map((item) => inMemory(item));
  const members = Object.entries(value as Readonly<Record<string, JsonValue>>);
  return Object.fromEntries(members.map(([name, item]) => [camelCase(name), inMemory(item, name)]));
}

const camelCase = (name: string): string =>
  name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** A new object each time: the layers of TensorFlow.js change what they are made from. */
function withoutStart(className: string, settings: JsonObject): serialization.ConfigDict {
  const { layer: inner, ...own } = settings;
  const config = { ...own, ...NO_START } as serialization.ConfigDict;
  // It has two kernels with names of their own, and refuses this one.
  if (className === 'SeparableConv2D') delete config['kernelInitializer'];
  if (typeof inner === 'object' && inner !== null && 'config' in inner) {
    const nested = inner as { readonly className: string; readonly config: serialization.ConfigDict };
    config['layer'] = { className: nested.className, config: { ...nested.config, ...NO_START } };
  }
  return config;
}
