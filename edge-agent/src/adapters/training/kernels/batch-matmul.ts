import {
  BatchMatMul,
  broadcast_util,
  util,
  type BatchMatMulAttrs,
  type TensorInfo,
} from '@tensorflow/tfjs-core';

import { wasmKernel, type Tensors } from './kernel.js';
import { contiguous, type WasmHeap } from './wasm-heap.js';

/**
 * C [..., m, n] = op(A) [..., m, k] * op(B) [..., k, n], where op transposes the last two axes on request; the axes
 * before them are broadcast. A transposed operand costs no more than one that is not.
 */
export const batchMatMul = wasmKernel<Tensors<'a' | 'b'>, BatchMatMulAttrs>(BatchMatMul, multiply);

function multiply(
  heap: WasmHeap,
  { a, b }: Tensors<'a' | 'b'>,
  { transposeA, transposeB }: BatchMatMulAttrs,
): TensorInfo {
  if (a.dtype !== 'float32' || b.dtype !== 'float32') throw new TypeError('matrices must be float32');
  const left = matrixShape(a);
  const right = matrixShape(b);
  const [rows, depth] = transposeA ? [left.columns, left.rows] : [left.rows, left.columns];
  const [inner, columns] = transposeB ? [right.columns, right.rows] : [right.rows, right.columns];
  if (depth !== inner)
    throw new RangeError(
      `matrices of [${a.shape.join(',')}] and [${b.shape.join(',')}] cannot be multiplied`,
    );
  const outer = broadcast_util.assertAndGetBroadcastShape(left.outer, right.outer);
  const out = heap.output([...outer, rows, columns]);
  const from = { a: heap.address(a), b: heap.address(b), out: heap.address(out) };
  const leftOf = batchIndex(left.outer, outer);
  const rightOf = batchIndex(right.outer, outer);
  const count = util.sizeFromShape(outer);
  for (let index = 0; index < count; index += 1)
    heap.multiply(
      contiguous(from.a + leftOf(index) * FLOAT * rows * depth, left.columns, transposeA),
      contiguous(from.b + rightOf(index) * FLOAT * depth * columns, right.columns, transposeB),
      contiguous(from.out + index * FLOAT * rows * columns, columns),
      { rows, columns, depth },
    );
  return out;
}

const FLOAT = Float32Array.BYTES_PER_ELEMENT;

const matrixShape = ({ shape }: TensorInfo): { outer: number[]; rows: number; columns: number } => ({
  outer: shape.slice(0, -2),
  rows: shape.at(-2) ?? 1,
  columns: shape.at(-1) ?? 1,
});

/** Number of the matrix that stands at `index` of the broadcast axes, where those of the operand are `shape`. */
function batchIndex(shape: readonly number[], outer: readonly number[]): (index: number) => number {
  if (util.sizeFromShape([...shape]) === util.sizeFromShape([...outer])) return (index) => index;
  const strides = outer.map(() => 0);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    const size = shape[axis] ?? 1;
    if (size > 1) strides[axis + outer.length - shape.length] = stride;
    stride *= size;
  }
  return (index) => {
    let rest = index;
    let result = 0;
    for (let axis = outer.length - 1; axis >= 0; axis -= 1) {
      const size = outer[axis] ?? 1;
      result += (rest % size) * (strides[axis] ?? 0);
      rest = Math.floor(rest / size);
    }
    return result;
  };
}
