import {
  getKernel,
  registerKernel,
  unregisterKernel,
  type KernelBackend,
  type KernelConfig,
  type TensorInfo,
} from '@tensorflow/tfjs-core';

import { WasmHeap } from './wasm-heap.js';

/** Tensors by name. */
export type Tensors<Name extends string> = Readonly<Record<Name, TensorInfo>>;

/** A kernel of the wasm backend, before it is registered. */
export interface WasmKernel {
  readonly kernelName: string;
  /** Undefined where the published kernel is to do it. */
  readonly run: (heap: WasmHeap, inputs: object, attributes: object) => TensorInfo | undefined;
}

/**
 * A kernel whose `run` gets the inputs and attributes that TensorFlow.js defines for `kernelName` and returns a new
 * tensor, keeping none of its inputs; or undefined to leave the case to the published kernel of that name.
 */
export function wasmKernel<Inputs extends object, Attributes extends object>(
  kernelName: string,
  run: (heap: WasmHeap, inputs: Inputs, attributes: Attributes) => TensorInfo | undefined,
): WasmKernel {
  return {
    kernelName,
    run: (heap, inputs, attributes) => run(heap, inputs as Inputs, attributes as Attributes),
  };
}

const registered = new WeakSet<KernelConfig>();

/** Puts `kernel` in the place of the published one of its name, where there is one; once. */
export function replaceKernel({ kernelName, run }: WasmKernel): void {
  const published = getKernel(kernelName, 'wasm') as KernelConfig | undefined;
  if (published !== undefined) {
    if (registered.has(published)) return;
    unregisterKernel(kernelName, 'wasm');
  }
  const config: KernelConfig = {
    // Setup and disposal of the published kernel still belong to the backend's start and end.
    ...published,
    kernelName,
    backendName: 'wasm',
    kernelFunc: (parameters) => {
      const { inputs, backend, attrs } = parameters;
      const output = run(WasmHeap.of(backend as KernelBackend), inputs, attrs ?? {});
      if (output !== undefined) return output;
      if (published === undefined) throw new TypeError(`the kernel ${kernelName} does not support this case`);
      return published.kernelFunc(parameters);
    },
  };
  registered.add(config);
  registerKernel(config);
}
