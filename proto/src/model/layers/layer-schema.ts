import { z } from 'zod';

import { bidirectionalSchema } from './bidirectional.js';
import { conv1dSchema, conv2dSchema, conv3dSchema } from './convolution.js';
import { denseSchema } from './dense.js';
import { depthwiseConv2dSchema, separableConv2dSchema } from './depthwise.js';
import { activationSchema, dropoutSchema, preluSchema } from './elementwise.js';
import { embeddingSchema } from './embedding.js';
import {
  globalAveragePooling1dSchema,
  globalAveragePooling2dSchema,
  globalMaxPooling1dSchema,
  globalMaxPooling2dSchema,
} from './global-pooling.js';
import { batchNormalizationSchema, layerNormalizationSchema } from './normalization.js';
import {
  averagePooling1dSchema,
  averagePooling2dSchema,
  maxPooling1dSchema,
  maxPooling2dSchema,
} from './pooling.js';
import { gruSchema, lstmSchema, simpleRnnSchema } from './recurrent.js';
import { flattenSchema, reshapeSchema, upSampling2dSchema, zeroPadding2dSchema } from './shaping.js';
import { conv2dTransposeSchema } from './transposed.js';

/** One layer of a network, by its type. */
export const layerSchema = z.discriminatedUnion('type', [
  denseSchema,
  conv1dSchema,
  conv2dSchema,
  conv2dTransposeSchema,
  conv3dSchema,
  depthwiseConv2dSchema,
  separableConv2dSchema,
  maxPooling1dSchema,
  maxPooling2dSchema,
  averagePooling1dSchema,
  averagePooling2dSchema,
  globalAveragePooling1dSchema,
  globalAveragePooling2dSchema,
  globalMaxPooling1dSchema,
  globalMaxPooling2dSchema,
  batchNormalizationSchema,
  layerNormalizationSchema,
  dropoutSchema,
  embeddingSchema,
  flattenSchema,
  reshapeSchema,
  simpleRnnSchema,
  lstmSchema,
  gruSchema,
  bidirectionalSchema,
  upSampling2dSchema,
  zeroPadding2dSchema,
  activationSchema,
  preluSchema,
]);

export type LayerSpec = z.output<typeof layerSchema>;
export type LayerType = LayerSpec['type'];
