import assert from 'node:assert/strict';

// Registers the gradients of the operations.
import '@tensorflow/tfjs-layers';
import { tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { startBackend, type BackendName } from '@tributary/edge-agent/internal/adapters/training/backend.js';

import type { SeededRandom } from './seeded-random.js';

/** What `work` computes on a backend, copied; its tensors are freed. */
export async function valuesOn(backend: BackendName, work: () => Tensor): Promise<Float32Array> {
  await startBackend(backend);
  return tidy(() => Float32Array.from(work().dataSync<'float32'>()));
}

/** Fails where `work` gives another result on wasm than on cpu, by more than `tolerance` of the largest value or of 1. */
export async function assertSameOnWasm(work: () => Tensor, label: string, tolerance = 1e-5): Promise<void> {
  const expected = await valuesOn('cpu', work);
  const actual = await valuesOn('wasm', work);
  assertClose(actual, expected, label, tolerance);
}

/** As {@link assertSameOnWasm}, for values at hand. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  label: string,
  tolerance = 1e-5,
): void {
  assert.equal(actual.length, expected.length, label);
  const largest = Array.from(expected).reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  for (let index = 0; index < expected.length; index += 1) {
    const gap = Math.abs((actual[index] ?? Number.NaN) - (expected[index] ?? Number.NaN));
    assert.ok(
      gap <= tolerance * largest,
      `${label}: value ${String(index)} is ${String(actual[index])}, expected ${String(expected[index])}`,
    );
  }
}

/** Values from -1 to 1 of a shape. */
export function randomValues(random: SeededRandom, shape: readonly number[]): Float32Array {
  const size = shape.reduce((product, axis) => product * axis, 1);
  return Float32Array.from({ length: size }, () => random.uint32() / 2 ** 31 - 1);
}

/** A maker of the same random tensor on whichever backend is in use. */
export function randomTensor(random: SeededRandom, shape: readonly number[]): () => Tensor {
  const values = randomValues(random, shape);
  return () => tensor(Float32Array.from(values), [...shape]);
}
