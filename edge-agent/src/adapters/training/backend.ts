import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import '@tensorflow/tfjs-backend-cpu';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { enableProdMode, ready, setBackend, version_core } from '@tensorflow/tfjs-core';

import { registerTrainingKernels } from './kernels/register.js';
import { startNative, type NativePackages } from './native-backend.js';
import { startWebGpu } from './webgpu-backend.js';

/** TensorFlow.js backends that this build can train with, in the order in which they are tried. */
export const BACKENDS = ['native-gpu', 'native-cpu', 'webgpu', 'wasm', 'cpu'] as const;

export type BackendName = (typeof BACKENDS)[number];

/** Backends of which a binding can end the process: they are tried in a process of their own first. */
export const ISOLATED: ReadonlySet<BackendName> = new Set(['native-gpu', 'native-cpu', 'webgpu']);

/** Backends that come with this package and run anywhere. */
export const PORTABLE = ['wasm', 'cpu'] as const satisfies readonly BackendName[];

/**
 * Makes `name` the backend of this thread. Nothing is fetched: the binaries are those of installed packages. Throws a
 * BackendRefusal where the reason is known, else what the backend throws when it cannot start.
 */
export async function startBackend(name: BackendName, packages: NativePackages = {}): Promise<void> {
  switch (name) {
    case 'native-gpu':
    case 'native-cpu':
      return startNative(name, packages);
    case 'webgpu':
      return startWebGpu();
    case 'wasm':
      setWasmPaths(wasmFolder());
      await use(name);
      registerTrainingKernels();
      return;
    default:
      return use(name);
  }
}

async function use(name: string): Promise<void> {
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
