import {
  UnsortedSegmentSum,
  util,
  type TensorInfo,
  type UnsortedSegmentSumAttrs,
} from '@tensorflow/tfjs-core';

import { wasmKernel, type Tensors } from './kernel.js';
import type { WasmHeap } from './wasm-heap.js';

/**
 * Sums of the rows of x [rows, ...inner] by segment, [numSegments, ...inner]: the gradient of an embedding. A row whose
 * segment is below 0 or not below numSegments is left out. Rows are added in order.
 */
export const unsortedSegmentSum = wasmKernel<Tensors<'x' | 'segmentIds'>, UnsortedSegmentSumAttrs>(
  UnsortedSegmentSum,
  sum,
);

function sum(
  heap: WasmHeap,
  { x, segmentIds }: Tensors<'x' | 'segmentIds'>,
  { numSegments }: UnsortedSegmentSumAttrs,
): TensorInfo {
  if (segmentIds.shape.length !== 1) throw new RangeError('segment ids must have one axis');
  if (x.dtype !== 'float32') throw new TypeError('values must be float32');
  const inner = x.shape.slice(1);
  const width = util.sizeFromShape(inner);
  const out = heap.zeros([numSegments, ...inner]);
  const to = heap.floats(out);
  const from = heap.floats(x);
  for (const [row, segment] of heap.integers(segmentIds).entries()) {
    if (segment < 0 || segment >= numSegments) continue;
    const source = row * width;
    const target = segment * width;
    for (let index = 0; index < width; index += 1)
      to[target + index] = (to[target + index] ?? 0) + (from[source + index] ?? 0);
  }
  return out;
}
