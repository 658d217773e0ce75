import {
  AvgPoolGrad,
  backend_util,
  MaxPoolGrad,
  type AvgPoolGradAttrs,
  type MaxPoolGradAttrs,
} from '@tensorflow/tfjs-core';

import { planeGeometry, setGeometry, type Geometry } from './geometry.js';
import { wasmKernel, type Tensors } from './kernel.js';

/**
 * Gradient of max pooling for input [batch, height, width, channels] from dy [batch, outHeight, outWidth, channels]: it
 * goes to the first maximum of each window, in row order.
 */
export const maxPoolGradient = wasmKernel<Tensors<'dy' | 'input' | 'output'>, MaxPoolGradAttrs>(
  MaxPoolGrad,
  (heap, { dy, input, output }, attributes) => {
    const geometry = poolGeometry(input.shape, attributes, attributes.dimRoundingMode);
    const out = heap.zeros(geometry.inShape);
    if (geometry.batch === 0) return out;
    setGeometry(heap.windows, geometry.fields);
    heap.windows.maxPoolGradient(
      geometry.batch,
      heap.address(input),
      heap.address(out),
      heap.address(output),
      heap.address(dy),
    );
    return out;
  },
);

/**
 * Gradient of average pooling for input [batch, height, width, channels] from dy [batch, outHeight, outWidth, channels]:
 * equal parts for the taps inside the image, which are those that the forward pass averages. (TensorFlow.js divides by
 * the size of the window also where padding cuts it, which is not the derivative.)
 */
export const averagePoolGradient = wasmKernel<Tensors<'dy' | 'input'>, AvgPoolGradAttrs>(
  AvgPoolGrad,
  (heap, { dy, input }, attributes) => {
    const geometry = poolGeometry(input.shape, attributes);
    const out = heap.zeros(geometry.inShape);
    if (geometry.batch === 0) return out;
    setGeometry(heap.windows, geometry.fields);
    heap.windows.averagePoolGradient(geometry.batch, heap.address(out), heap.address(dy));
    return out;
  },
);

function poolGeometry(
  inShape: readonly number[],
  { filterSize, strides, pad }: AvgPoolGradAttrs | MaxPoolGradAttrs,
  dimRoundingMode?: MaxPoolGradAttrs['dimRoundingMode'],
): Geometry {
  return planeGeometry(
    backend_util.computePool2DInfo(
      inShape as [number, number, number, number],
      filterSize,
      strides,
      1,
      pad,
      dimRoundingMode,
    ),
  );
}
