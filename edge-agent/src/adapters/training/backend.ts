import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import '@tensorflow/tfjs-backend-cpu';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { enableProdMode, ready, setBackend, version_core } from '@tensorflow/tfjs-core';

/** TensorFlow.js backends that this build trains with, in the order in which they are tried. */
export const BACKENDS = ['wasm', 'cpu'] as const;

export type BackendName = (typeof BACKENDS)[number];

/**
 * Makes `name` the backend of this thread. The wasm binaries are read from the installed package, so that nothing is
 * fetched. Throws what the backend throws when it cannot start.
 */
export async function startBackend(name: BackendName): Promise<void> {
  if (name === 'wasm') setWasmPaths(wasmFolder());
  const started = await setBackend(name);
  await ready();
  if (!started) throw new Error(`the ${name} backend did not start`);
}

/** Name and version for people, as in "tfjs 4.22.0 wasm". */
export function backendLabel(name: BackendName): string {
  return `tfjs ${version_core} ${name}`;
}

/** Silences the advice that TensorFlow.js prints; what matters is reported through messages of the worker. */
export function quietLibrary(): void {
  enableProdMode();
}

const wasmFolder = (): string =>
  join(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')), '/');
