import { bidirectional } from './bidirectional.js';
import { conv1d, conv2d, conv3d } from './convolution.js';
import { dense } from './dense.js';
import { depthwiseConv2d, separableConv2d } from './depthwise.js';
import { activation, dropout, prelu } from './elementwise.js';
import { embedding } from './embedding.js';
import {
  globalAveragePooling1d,
  globalAveragePooling2d,
  globalMaxPooling1d,
  globalMaxPooling2d,
} from './global-pooling.js';
import type { LayerKind } from './layer-kind.js';
import type { LayerSpec, LayerType } from './layer-schema.js';
import { batchNormalization, layerNormalization } from './normalization.js';
import { averagePooling1d, averagePooling2d, maxPooling1d, maxPooling2d } from './pooling.js';
import { gru, lstm, simpleRnn } from './recurrent.js';
import { flatten, reshape, upSampling2d, zeroPadding2d } from './shaping.js';
import { conv2dTranspose } from './transposed.js';

type LayerKinds = { readonly [T in LayerType]: LayerKind<Extract<LayerSpec, { type: T }>> };

/** Every type of layer. */
export const LAYER_KINDS: LayerKinds = Object.freeze({
  Dense: dense,
  Conv1d: conv1d,
  Conv2d: conv2d,
  Conv2dTranspose: conv2dTranspose,
  Conv3d: conv3d,
  DepthwiseConv2d: depthwiseConv2d,
  SeparableConv2d: separableConv2d,
  MaxPooling1d: maxPooling1d,
  MaxPooling2d: maxPooling2d,
  AveragePooling1d: averagePooling1d,
  AveragePooling2d: averagePooling2d,
  GlobalAveragePooling1d: globalAveragePooling1d,
  GlobalAveragePooling2d: globalAveragePooling2d,
  GlobalMaxPooling1d: globalMaxPooling1d,
  GlobalMaxPooling2d: globalMaxPooling2d,
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  Dropout: dropout,
  Embedding: embedding,
  Flatten: flatten,
  Reshape: reshape,
  SimpleRnn: simpleRnn,
  Lstm: lstm,
  Gru: gru,
  Bidirectional: bidirectional,
  UpSampling2d: upSampling2d,
  ZeroPadding2d: zeroPadding2d,
  Activation: activation,
  PRelu: prelu,
});

/** The kind of a layer. The cast forgets only which type it is: the table keeps type and kind together. */
export function kindOf(spec: LayerSpec): LayerKind<LayerSpec> {
  return LAYER_KINDS[spec.type] as LayerKind<LayerSpec>;
}

export const LAYER_TYPES = Object.freeze(Object.keys(LAYER_KINDS)) as readonly LayerType[];
