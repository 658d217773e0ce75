import { _FusedMatMul, type _FusedMatMulAttrs, type TensorInfo } from '@tensorflow/tfjs-core';

import { isFusable, withActivation } from './fused-activation.js';
import { wasmKernel } from './kernel.js';
import { contiguous, repeat } from './wasm-heap.js';

interface Inputs {
  readonly a: TensorInfo;
  readonly b: TensorInfo;
  readonly bias?: TensorInfo;
}

/**
 * C [batch, m, n] = A [batch, m, k] * op(B) + bias [n] for one matrix B [1, k, n], and an activation that layers fuse
 * with it: the rows of all matrices of A are those of one. Other cases are left to the published kernel.
 */
export const fusedMatMul = wasmKernel<Inputs, _FusedMatMulAttrs>(_FusedMatMul, (heap, inputs, attributes) => {
  if (!isPlain(inputs, attributes)) return undefined;
  const { a, b, bias } = inputs;
  const [batches = 1, aRows = 1, depth = 1] = a.shape;
  const [, bRows = 1, bColumns = 1] = b.shape;
  const columns = attributes.transposeB ? bRows : bColumns;
  const out = heap.output([batches, aRows, columns]);
  if (bias !== undefined) repeat(heap.floats(bias), heap.floats(out));
  heap.multiply(
    contiguous(heap.address(a), depth),
    contiguous(heap.address(b), bColumns, attributes.transposeB),
    contiguous(heap.address(out), columns),
    { rows: batches * aRows, columns, depth },
    bias !== undefined,
  );
  return withActivation(heap, out, attributes.activation);
});

const isPlain = ({ a, b, bias }: Inputs, { activation, transposeA }: _FusedMatMulAttrs): boolean =>
  isFusable(activation, bias) && !transposeA && a.shape.length === 3 && b.shape[0] === 1;
