import type { KernelBackend, KernelConfig, TensorInfo } from '@tensorflow/tfjs-core';

import { WasmHeap } from './wasm-heap.js';

/** Tensors by name. */
export type Tensors<Name extends string> = Readonly<Record<Name, TensorInfo>>;

/**
 * A kernel of the wasm backend. `run` gets the inputs and attributes that TensorFlow.js defines for `kernelName` and
 * returns a new tensor; it keeps none of its inputs.
 */
export function wasmKernel<Inputs, Attributes>(
  kernelName: string,
  run: (heap: WasmHeap, inputs: Inputs, attributes: Attributes) => TensorInfo,
): KernelConfig {
  return {
    kernelName,
    backendName: 'wasm',
    kernelFunc: ({ inputs, backend, attrs }) =>
      run(WasmHeap.of(backend as KernelBackend), inputs as Inputs, attrs as Attributes),
  };
}
