import { batchMatMul } from './batch-matmul.js';
import { conv2d, conv2dBackpropFilter, conv2dBackpropInput, fusedConv2d } from './conv2d.js';
import { conv3d, conv3dBackpropFilter, conv3dBackpropInput } from './conv3d.js';
import { depthwise, depthwiseBackpropFilter, depthwiseBackpropInput } from './depthwise.js';
import { fusedMatMul } from './fused-matmul.js';
import { cast, identity } from './identity.js';
import { replaceKernel } from './kernel.js';
import { averagePoolGradient, maxPoolGradient } from './pooling.js';
import { unsortedSegmentSum } from './segment-sum.js';
import { sum } from './sum.js';

/** Our kernels of the wasm backend: those that it lacks, and those that it has but slow or inexact. */
export const TRAINING_KERNELS = [
  averagePoolGradient,
  batchMatMul,
  cast,
  conv2d,
  conv2dBackpropFilter,
  conv2dBackpropInput,
  conv3d,
  conv3dBackpropFilter,
  conv3dBackpropInput,
  depthwise,
  depthwiseBackpropFilter,
  depthwiseBackpropInput,
  fusedConv2d,
  fusedMatMul,
  identity,
  maxPoolGradient,
  sum,
  unsortedSegmentSum,
] as const;

/**
 * Puts our kernels in the place of those of the wasm backend of this thread, once; every layer kind then trains on it.
 * Needs `@tensorflow/tfjs-backend-wasm` to be imported before.
 */
export function registerTrainingKernels(): void {
  for (const kernel of TRAINING_KERNELS) replaceKernel(kernel);
}
