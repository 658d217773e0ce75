import {
  backend_util,
  Conv2D,
  Conv2DBackpropFilter,
  Conv2DBackpropInput,
  FusedConv2D,
  type Conv2DAttrs,
  type Conv2DBackpropFilterAttrs,
  type Conv2DBackpropInputAttrs,
  type FusedConv2DAttrs,
  type TensorInfo,
} from '@tensorflow/tfjs-core';

import { convolve, filterGradient, inputGradient } from './convolution.js';
import { isFusable, withActivation } from './fused-activation.js';
import { planeGeometry, type Geometry } from './geometry.js';
import { wasmKernel, type Tensors } from './kernel.js';

type Shape4 = [number, number, number, number];

/** y [batch, outHeight, outWidth, outChannels] of x [batch, height, width, channels] and filter [kh, kw, channels, outChannels]. */
export const conv2d = wasmKernel<Tensors<'x' | 'filter'>, Conv2DAttrs>(
  Conv2D,
  (heap, { x, filter }, attributes) =>
    convolve(heap, x, filter, geometry2d(x.shape, filter.shape, attributes)),
);

interface FusedInputs {
  readonly x: TensorInfo;
  readonly filter: TensorInfo;
  readonly bias?: TensorInfo;
}

/**
 * {@link conv2d} plus bias [outChannels], and an activation that layers fuse with it; other activations are left to the
 * published kernel.
 */
export const fusedConv2d = wasmKernel<FusedInputs, FusedConv2DAttrs>(
  FusedConv2D,
  (heap, { x, filter, bias }, attributes) => {
    const { activation } = attributes;
    if (!isFusable(activation, bias)) return undefined;
    const out = convolve(heap, x, filter, geometry2d(x.shape, filter.shape, attributes), bias);
    return withActivation(heap, out, activation);
  },
);

/** Gradient of the filter [kh, kw, channels, outChannels] from x and dy, which has the shape of y. */
export const conv2dBackpropFilter = wasmKernel<Tensors<'x' | 'dy'>, Conv2DBackpropFilterAttrs>(
  Conv2DBackpropFilter,
  (heap, { x, dy }, attributes) =>
    filterGradient(
      heap,
      x,
      dy,
      attributes.filterShape,
      geometry2d(x.shape, attributes.filterShape, attributes),
    ),
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
  attributes: Conv2DBackpropFilterAttrs | Conv2DBackpropInputAttrs | Conv2DAttrs | FusedConv2DAttrs,
): Geometry {
  const { strides, pad, dataFormat, dimRoundingMode } = attributes;
  if (dataFormat !== 'NHWC')
    throw new RangeError(`the wasm backend has images as NHWC, not as ${dataFormat}`);
  return planeGeometry(
    backend_util.computeConv2DInfo(
      inShape as Shape4,
      filterShape as Shape4,
      strides,
      'dilations' in attributes ? attributes.dilations : 1,
      pad,
      dimRoundingMode,
    ),
  );
}
