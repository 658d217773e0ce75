import { Sum, util, type SumAttrs } from '@tensorflow/tfjs-core';

import { wasmKernel, type Tensors } from './kernel.js';
import { contiguous } from './wasm-heap.js';

/**
 * Sums over all leading axes of x [...reduced, ...kept], as in the gradient of a bias: a row of ones times x as a
 * matrix, without the transposition of the published kernel. Other sums are left to that.
 */
export const sum = wasmKernel<Tensors<'x'>, SumAttrs>(Sum, (heap, { x }, { axis, keepDims }) => {
  const axes = util.parseAxisParam(axis, x.shape);
  const leading = axes.length < x.shape.length && axes.every((value, index) => value === index);
  if (x.dtype !== 'float32' || axes.length === 0 || !leading) return undefined;
  const kept = x.shape.slice(axes.length);
  const columns = util.sizeFromShape(kept);
  const depth = util.sizeFromShape(x.shape.slice(0, axes.length));
  const out = heap.output(keepDims ? [...axes.map(() => 1), ...kept] : kept);
  heap.multiply(
    { at: heap.one, rowBytes: 0, columnBytes: 0 },
    contiguous(heap.address(x), columns),
    contiguous(heap.address(out), columns),
    { rows: 1, columns, depth },
  );
  return out;
});
