import { getKernel, registerKernel, unregisterKernel, type KernelConfig } from '@tensorflow/tfjs-core';

import { batchMatMul } from './batch-matmul.js';
import { conv2d, conv2dBackpropFilter, conv2dBackpropInput } from './conv2d.js';
import { conv3d, conv3dBackpropFilter, conv3dBackpropInput } from './conv3d.js';
import { depthwiseBackpropFilter, depthwiseBackpropInput } from './depthwise.js';
import { averagePoolGradient, maxPoolGradient } from './pooling.js';
import { unsortedSegmentSum } from './segment-sum.js';

/** Our kernels of the wasm backend: those that it lacks, and those that it has but slow. */
export const TRAINING_KERNELS: readonly KernelConfig[] = [
  batchMatMul,
  conv2d,
  conv2dBackpropFilter,
  conv2dBackpropInput,
  conv3d,
  conv3dBackpropFilter,
  conv3dBackpropInput,
  depthwiseBackpropFilter,
  depthwiseBackpropInput,
  averagePoolGradient,
  maxPoolGradient,
  unsortedSegmentSum,
];

/**
 * Puts our kernels in the place of those of the wasm backend of this thread, once; every layer kind then trains on it.
 * Needs `@tensorflow/tfjs-backend-wasm` to be imported before.
 */
export function registerTrainingKernels(): void {
  for (const kernel of TRAINING_KERNELS) {
    const present = getKernel(kernel.kernelName, kernel.backendName);
    if (present === kernel) continue;
    if (present !== undefined) unregisterKernel(kernel.kernelName, kernel.backendName);
    registerKernel(kernel);
  }
}
