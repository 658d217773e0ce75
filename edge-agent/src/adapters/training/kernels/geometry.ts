import type { backend_util } from '@tensorflow/tfjs-core';

import type { WasmGlobal } from './wasm-module.js';

type Conv2DInfo = backend_util.Conv2DInfo;

/** Sizes that the modules of edge-agent/wat know as globals. */
export type GeometryField =
  | `${'in' | 'out' | 'kernel' | 'stride' | 'dilation'}${'Depth' | 'Height' | 'Width'}`
  | 'channels'
  | 'padFront'
  | 'padTop'
  | 'padLeft';

export type GeometryFields = Readonly<Record<GeometryField, number>>;

/**
 * Sizes of a convolution or a pooling: images batch x (depth x) height x width x channels, results batch x (outDepth x)
 * outHeight x outWidth x outChannels; `fields` of two dimensions have depth 1.
 */
export interface Geometry {
  readonly batch: number;
  readonly outChannels: number;
  /** Shape of the images and of the results, as their tensors have it. */
  readonly inShape: readonly number[];
  readonly outShape: readonly number[];
  readonly fields: GeometryFields;
}

/** Sets the globals of a module of edge-agent/wat; one for two dimensions has none for depth. */
export function setGeometry(exports: object, fields: GeometryFields): void {
  for (const [name, value] of Object.entries(fields)) {
    const global = (exports as Readonly<Record<string, WasmGlobal | undefined>>)[name];
    if (global !== undefined) global.value = value;
  }
}

/** Geometry in two dimensions from what TensorFlow.js makes of shapes, strides and padding. */
export function planeGeometry(info: Conv2DInfo): Geometry {
  return {
    batch: info.batchSize,
    outChannels: info.outChannels,
    inShape: info.inShape,
    outShape: info.outShape,
    fields: {
      inDepth: 1,
      inHeight: info.inHeight,
      inWidth: info.inWidth,
      channels: info.inChannels,
      outDepth: 1,
      outHeight: info.outHeight,
      outWidth: info.outWidth,
      kernelDepth: 1,
      kernelHeight: info.filterHeight,
      kernelWidth: info.filterWidth,
      strideDepth: 1,
      strideHeight: info.strideHeight,
      strideWidth: info.strideWidth,
      dilationDepth: 1,
      dilationHeight: info.dilationHeight,
      dilationWidth: info.dilationWidth,
      padFront: 0,
      padTop: info.padInfo.top,
      padLeft: info.padInfo.left,
    },
  };
}
