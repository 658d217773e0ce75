import { createRequire } from 'node:module';

import { ready, setBackend } from '@tensorflow/tfjs-core';

import { BackendRefusal } from './backend-refusal.js';

/** Dawn for Node, and the backend of TensorFlow.js on it. Neither comes with this package. */
const PACKAGES = ['webgpu', '@tensorflow/tfjs-backend-webgpu'] as const;

interface Adapter {
  readonly isFallbackAdapter?: boolean;
  readonly info?: { readonly isFallbackAdapter?: boolean };
}

interface Gpu {
  requestAdapter(options: { readonly powerPreference: 'high-performance' }): Promise<Adapter | null>;
}

interface Dawn {
  readonly create: (options: readonly string[]) => Gpu;
  readonly globals: object;
}

const requireHere = createRequire(import.meta.url);

/** Why WebGPU cannot be tried at all; undefined where its packages are there. */
export function webGpuFault(): string | undefined {
  const missing = PACKAGES.filter((name) => !resolves(name));
  return missing.length === 0 ? undefined : `${missing.join(' and ')} not installed`;
}

/**
 * Makes WebGPU the backend of this thread; refuses an adapter that computes in software, which is slower than wasm. May
 * end the process, as any binding may.
 */
export async function startWebGpu(): Promise<void> {
  const fault = webGpuFault();
  if (fault !== undefined) throw new BackendRefusal(fault);
  const dawn = (await import(requireHere.resolve(PACKAGES[0]))) as Dawn;
  const gpu = dawn.create([]);
  requireRealAdapter(await gpu.requestAdapter({ powerPreference: 'high-performance' }));
  // The backend of TensorFlow.js reads synchronously through a canvas, which Node has not.
  if (!('OffscreenCanvas' in globalThis))
    throw new BackendRefusal(
      'its results can only be read asynchronously here, and training reads each loss at once',
    );
  Object.assign(globalThis, dawn.globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  requireHere(PACKAGES[1]);
  if (!(await setBackend('webgpu'))) throw new BackendRefusal('its backend does not start');
  await ready();
}

/** Throws BackendRefusal where there is no adapter, or only one in software. */
export function requireRealAdapter(adapter: Adapter | null): void {
  if (adapter === null) throw new BackendRefusal('it finds no adapter');
  if (adapter.isFallbackAdapter === true || adapter.info?.isFallbackAdapter === true)
    throw new BackendRefusal('its only adapter computes in software');
}

function resolves(name: string): boolean {
  try {
    requireHere.resolve(name);
    return true;
  } catch {
    return false;
  }
}
