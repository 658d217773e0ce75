import { backend, getBackend, tensor, tidy, type Variable } from '@tensorflow/tfjs-core';

import { WasmHeap } from './wasm-heap.js';

/**
 * The values of a float32 variable, row-major, to read at once: on wasm a view of the heap, which dies when anything is
 * allocated; elsewhere what the backend gives, which may be the live values or a copy.
 */
export function valuesOf(variable: Variable): Float32Array {
  return getBackend() === 'wasm' ? WasmHeap.of(backend()).floats(variable) : variable.dataSync<'float32'>();
}

/** Copies `values`, as many as the variable has, into it: on wasm in place, so that nothing is allocated. */
export function replaceValues(variable: Variable, values: Float32Array): void {
  if (getBackend() === 'wasm' && WasmHeap.of(backend()).overwrite(variable, values)) return;
  tidy(() => {
    // Some backends keep the array that a tensor is made from.
    variable.assign(tensor(Float32Array.from(values), variable.shape));
  });
}
