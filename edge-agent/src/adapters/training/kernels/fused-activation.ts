import { Elu, Relu, type TensorInfo } from '@tensorflow/tfjs-core';

import type { WasmHeap } from './wasm-heap.js';

/** Kernels of the activations that layers fuse with a product or a convolution; the others have none. */
const KERNELS: Readonly<Record<string, string | undefined>> = { linear: undefined, relu: Relu, elu: Elu };

/** Whether {@link withActivation} knows `activation`, and the bias has one axis or is absent. */
export function isFusable(activation: string, bias: TensorInfo | undefined): boolean {
  return activation in KERNELS && (bias === undefined || bias.shape.length === 1);
}

/** `x` after an activation that `isFusable`; `x` is freed or returned. */
export function withActivation(heap: WasmHeap, x: TensorInfo, activation: string): TensorInfo {
  const kernel = KERNELS[activation];
  return kernel === undefined ? x : heap.activate(kernel, x);
}
