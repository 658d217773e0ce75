import {
  backend_util,
  DepthwiseConv2dNative,
  DepthwiseConv2dNativeBackpropFilter,
  DepthwiseConv2dNativeBackpropInput,
  type DepthwiseConv2dNativeAttrs,
  type DepthwiseConv2dNativeBackpropFilterAttrs,
  type DepthwiseConv2dNativeBackpropInputAttrs,
} from '@tensorflow/tfjs-core';

import { planeGeometry, setGeometry, type Geometry } from './geometry.js';
import { wasmKernel, type Tensors } from './kernel.js';

type Shape4 = [number, number, number, number];

/**
 * y [batch, outHeight, outWidth, channels * multiplier] of x [batch, height, width, channels] and filter [kh, kw,
 * channels, multiplier], where the stride is larger than the filter: there the published kernel fails silently. Other
 * cases are left to it.
 */
export const depthwise = wasmKernel<Tensors<'x' | 'filter'>, DepthwiseConv2dNativeAttrs>(
  DepthwiseConv2dNative,
  (heap, { x, filter }, attributes) => {
    const geometry = depthwiseGeometry(x.shape, filter.shape, attributes);
    const { kernelHeight, kernelWidth, strideHeight, strideWidth } = geometry.fields;
    if (kernelHeight >= strideHeight && kernelWidth >= strideWidth) return undefined;
    const out = heap.zeros(geometry.outShape);
    if (geometry.batch === 0) return out;
    setGeometry(heap.windows, geometry.fields);
    heap.windows.depthwise(
      geometry.batch,
      heap.address(x),
      heap.address(out),
      heap.address(filter),
      filter.shape[3] ?? 1,
    );
    return out;
  },
);

/**
 * Gradient of the filter [kh, kw, channels, multiplier] from x [batch, height, width, channels] and dy [batch,
 * outHeight, outWidth, channels * multiplier].
 */
export const depthwiseBackpropFilter = wasmKernel<
  Tensors<'x' | 'dy'>,
  DepthwiseConv2dNativeBackpropFilterAttrs
>(DepthwiseConv2dNativeBackpropFilter, (heap, { x, dy }, attributes) => {
  const { filterShape } = attributes;
  const geometry = depthwiseGeometry(x.shape, filterShape, attributes);
  const out = heap.zeros(filterShape);
  if (geometry.batch === 0) return out;
  setGeometry(heap.windows, geometry.fields);
  heap.windows.depthwiseFilterGradient(
    geometry.batch,
    heap.address(x),
    heap.address(dy),
    heap.address(out),
    filterShape[3],
  );
  return out;
});

/** Gradient of x [batch, height, width, channels] from dy and the filter. */
export const depthwiseBackpropInput = wasmKernel<
  Tensors<'dy' | 'filter'>,
  DepthwiseConv2dNativeBackpropInputAttrs
>(DepthwiseConv2dNativeBackpropInput, (heap, { dy, filter }, attributes) => {
  const geometry = depthwiseGeometry(attributes.inputShape, filter.shape, attributes);
  const out = heap.zeros(geometry.inShape);
  if (geometry.batch === 0) return out;
  setGeometry(heap.windows, geometry.fields);
  heap.windows.depthwiseInputGradient(
    geometry.batch,
    heap.address(out),
    heap.address(dy),
    heap.address(filter),
    filter.shape[3] ?? 1,
  );
  return out;
});

function depthwiseGeometry(
  inShape: readonly number[],
  filterShape: readonly number[],
  {
    strides,
    dilations,
    pad,
    dimRoundingMode,
  }:
    | DepthwiseConv2dNativeAttrs
    | DepthwiseConv2dNativeBackpropFilterAttrs
    | DepthwiseConv2dNativeBackpropInputAttrs,
): Geometry {
  return planeGeometry(
    backend_util.computeConv2DInfo(
      inShape as Shape4,
      filterShape as Shape4,
      strides,
      // Layers give null for none, against the declared type.
      dilations ?? 1,
      pad,
      dimRoundingMode,
      true,
    ),
  );
}
