import {
  backend_util,
  Conv2D,
  Conv2DBackpropFilter,
  Conv2DBackpropInput,
  type Conv2DAttrs,
  type Conv2DBackpropFilterAttrs,
  type Conv2DBackpropInputAttrs,
} from '@tensorflow/tfjs-core';

import { convolve, filterGradient, inputGradient, type Geometry } from './convolution.js';
import { wasmKernel, type Tensors } from './kernel.js';

type Shape4 = [number, number, number, number];

/** y [batch, outHeight, outWidth, outChannels] of x [batch, height, width, channels] and filter [kh, kw, channels, outChannels]. */
export const conv2d = wasmKernel<Tensors<'x' | 'filter'>, Conv2DAttrs>(
  Conv2D,
  (heap, { x, filter }, attributes) =>
    convolve(heap, x, filter, geometry2d(x.shape, filter.shape, attributes)),
);

/** Gradient of the filter [kh, kw, channels, outChannels] from x and dy, which has the shape of y. */
export const conv2dBackpropFilter = wasmKernel<Tensors<'x' | 'dy'>, Conv2DBackpropFilterAttrs>(
  Conv2DBackpropFilter,
  (heap, { x, dy }, attributes) =>
    filterGradient(heap, x, dy, geometry2d(x.shape, attributes.filterShape, attributes)),
);

/** Gradient of x [batch, height, width, channels] from dy and the filter; also the forward pass of a transposed convolution. */
export const conv2dBackpropInput = wasmKernel<Tensors<'dy' | 'filter'>, Conv2DBackpropInputAttrs>(
  Conv2DBackpropInput,
  (heap, { dy, filter }, attributes) =>
    inputGradient(heap, dy, filter, geometry2d(attributes.inputShape, filter.shape, attributes)),
);

function geometry2d(
  inShape: readonly number[],
  filterShape: readonly number[],
  attributes: Conv2DBackpropFilterAttrs | Conv2DBackpropInputAttrs | Conv2DAttrs,
): Geometry {
  const { strides, pad, dataFormat, dimRoundingMode } = attributes;
  if (dataFormat !== 'NHWC')
    throw new RangeError(`the wasm backend has images as NHWC, not as ${dataFormat}`);
  const info = backend_util.computeConv2DInfo(
    inShape as Shape4,
    filterShape as Shape4,
    strides,
    'dilations' in attributes ? attributes.dilations : 1,
    pad,
    dimRoundingMode,
  );
  return {
    batch: info.batchSize,
    outChannels: info.outChannels,
    inShape: info.inShape,
    outShape: info.outShape,
    filterShape,
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
