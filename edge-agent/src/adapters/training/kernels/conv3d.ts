import {
  backend_util,
  Conv3D,
  Conv3DBackpropFilterV2,
  Conv3DBackpropInputV2,
  type Conv3DAttrs,
  type Conv3DBackpropFilterV2Attrs,
  type Conv3DBackpropInputV2Attrs,
} from '@tensorflow/tfjs-core';

import { convolve, filterGradient, inputGradient } from './convolution.js';
import type { Geometry } from './geometry.js';
import { wasmKernel, type Tensors } from './kernel.js';

type Shape5 = [number, number, number, number, number];

/** y [batch, ...out, outChannels] of x [batch, depth, height, width, channels] and filter [kd, kh, kw, channels, outChannels]. */
export const conv3d = wasmKernel<Tensors<'x' | 'filter'>, Conv3DAttrs>(
  Conv3D,
  (heap, { x, filter }, attributes) =>
    convolve(heap, x, filter, geometry3d(x.shape, filter.shape, attributes)),
);

/** Gradient of the filter [kd, kh, kw, channels, outChannels] from x and dy, which has the shape of y. */
export const conv3dBackpropFilter = wasmKernel<Tensors<'x' | 'dy'>, Conv3DBackpropFilterV2Attrs>(
  Conv3DBackpropFilterV2,
  (heap, { x, dy }, attributes) =>
    filterGradient(
      heap,
      x,
      dy,
      attributes.filterShape,
      geometry3d(x.shape, attributes.filterShape, attributes),
    ),
);

/** Gradient of x [batch, depth, height, width, channels] from dy and the filter. */
export const conv3dBackpropInput = wasmKernel<Tensors<'dy' | 'filter'>, Conv3DBackpropInputV2Attrs>(
  Conv3DBackpropInputV2,
  (heap, { dy, filter }, attributes) =>
    inputGradient(heap, dy, filter, geometry3d(attributes.inputShape, filter.shape, attributes)),
);

function geometry3d(
  inShape: readonly number[],
  filterShape: readonly number[],
  attributes: Conv3DBackpropFilterV2Attrs | Conv3DBackpropInputV2Attrs | Conv3DAttrs,
): Geometry {
  const info = backend_util.computeConv3DInfo(
    inShape as Shape5,
    filterShape as Shape5,
    attributes.strides,
    'dilations' in attributes ? attributes.dilations : 1,
    attributes.pad,
  );
  return {
    batch: info.batchSize,
    outChannels: info.outChannels,
    inShape: info.inShape,
    outShape: info.outShape,
    fields: {
      inDepth: info.inDepth,
      inHeight: info.inHeight,
      inWidth: info.inWidth,
      channels: info.inChannels,
      outDepth: info.outDepth,
      outHeight: info.outHeight,
      outWidth: info.outWidth,
      kernelDepth: info.filterDepth,
      kernelHeight: info.filterHeight,
      kernelWidth: info.filterWidth,
      strideDepth: info.strideDepth,
      strideHeight: info.strideHeight,
      strideWidth: info.strideWidth,
      dilationDepth: info.dilationDepth,
      dilationHeight: info.dilationHeight,
      dilationWidth: info.dilationWidth,
      padFront: info.padInfo.front,
      padTop: info.padInfo.top,
      padLeft: info.padInfo.left,
    },
  };
}
