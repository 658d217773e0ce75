import { backend, memory } from '@tensorflow/tfjs-core';
import { LIMITS, TributaryError, type FederatedJobSpec, type Layout } from '@tributary/proto';

import { ruleOf } from './optimizer-rules.js';
import type { StepMemory } from './trial.js';

/** Weights, gradients, the step that is added, and a copy of the weights. */
const COPIES = 4;

/** Refuses models whose weights and optimizer state cannot fit, before anything is allocated. Throws LIMIT_EXCEEDED. */
export function requireModelSpace({ training }: Pick<FederatedJobSpec, 'training'>, layout: Layout): void {
  const vectors = COPIES + ruleOf(training.optimizer).slots.length;
  requireWithin(Float32Array.BYTES_PER_ELEMENT * vectors * layout.length, 'use a smaller model');
}

/** Refuses batches whose step cannot fit, from what trial steps took. Throws LIMIT_EXCEEDED. */
export function requireStepSpace({ fixed, perRow }: StepMemory, batchRows: number): void {
  requireWithin(fixed + perRow * batchRows, 'use a smaller batch or model');
}

/**
 * Throws LIMIT_EXCEEDED where tensors or the wasm heap have grown beyond the budget: the heap ends at 4 GiB, and what
 * is written beyond it is lost without a word.
 */
export function requireHeapSpace(): void {
  requireWithin(memory().numBytes, 'use a smaller batch or model');
  const heap = wasmHeapBytes();
  if (heap > LIMITS.wasmHeapBytes)
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `the wasm heap has grown to ${String(heap)} bytes, at most ${String(LIMITS.wasmHeapBytes)} are safe; use a smaller batch or model`,
    );
}

/** Size of the heap of the wasm backend; 0 on another one. */
export function wasmHeapBytes(): number {
  const { wasm } = backend() as { readonly wasm?: { readonly HEAPU8?: Uint8Array } };
  return wasm?.HEAPU8?.byteLength ?? 0;
}

function requireWithin(bytes: number, fix: string): void {
  if (bytes <= LIMITS.tensorBytes) return;
  throw new TributaryError(
    'LIMIT_EXCEEDED',
    `training takes about ${String(Math.ceil(bytes))} bytes of tensors, at most ${String(LIMITS.tensorBytes)} fit; ${fix}`,
  );
}
