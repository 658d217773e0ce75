import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

import { backend as currentBackend, ready, setBackend } from '@tensorflow/tfjs-core';

import { BackendRefusal } from './backend-refusal.js';

export type NativeName = 'native-gpu' | 'native-cpu';

/** Folders or names of packages to take in the place of the published ones. */
export type NativePackages = Readonly<Partial<Record<NativeName, string>>>;

const PUBLISHED: Readonly<Record<NativeName, string>> = {
  'native-gpu': '@tensorflow/tfjs-node-gpu',
  'native-cpu': '@tensorflow/tfjs-node',
};

/** From this version on Node lacks functions that the packages call. */
const FIRST_WRONG_NODE = 23;

const REBUILD = 'run `npm rebuild @tensorflow/tfjs-node-gpu --ignore-scripts=false` (or tfjs-node)';

/** Both packages register themselves under this name, so that one process can hold one of them. */
const REGISTERED_AS = 'tensorflow';

const requireHere = createRequire(import.meta.url);
let loaded: string | undefined;

/**
 * Why a native package cannot be tried at all; undefined where it is there. Costs no more than a look at the folder.
 * `nodeVersion` as in "20.20.2".
 */
export function nativeFault(
  name: NativeName,
  packages: NativePackages,
  nodeVersion = process.versions.node,
): string | undefined {
  const specifier = packages[name] ?? PUBLISHED[name];
  try {
    requireHere.resolve(specifier);
  } catch {
    return `${packages[name] === undefined ? specifier : 'the package named in agent.yaml'} is not installed`;
  }
  if (!hasBinding(specifier)) return `${specifier} is installed without its binding: ${REBUILD}`;
  if (Number.parseInt(nodeVersion, 10) >= FIRST_WRONG_NODE)
    return `it runs on Node 20 and 22, not on ${nodeVersion}`;
  return undefined;
}

/** Where the published packages look for their binding, by the tool that would have fetched it. */
interface BindingFinder {
  readonly find: (packageFile: string) => string;
}

/** False where the package is there and its binding is not, as after an install that ran no scripts. */
function hasBinding(specifier: string): boolean {
  try {
    const file = requireHere.resolve(`${specifier}/package.json`);
    const { find } = createRequire(file)('@mapbox/node-pre-gyp') as BindingFinder;
    return existsSync(find(file));
  } catch {
    // Whatever this package is, a trial will tell.
    return true;
  }
}

/**
 * Loads a native binding into this process and makes it the backend. It may end the process instead, which nothing can
 * catch: call it in a process that may end, or after such a one has survived it.
 */
export async function startNative(name: NativeName, packages: NativePackages): Promise<void> {
  const fault = nativeFault(name, packages);
  if (fault !== undefined) throw new BackendRefusal(fault);
  const path = requireHere.resolve(packages[name] ?? PUBLISHED[name]);
  if (loaded !== undefined && loaded !== path)
    throw new BackendRefusal('another native binding is loaded in this process');
  load(path);
  loaded = path;
  if (!(await setBackend(REGISTERED_AS))) throw new BackendRefusal('its backend does not start');
  await ready();
  const { isUsingGpuDevice } = currentBackend() as { readonly isUsingGpuDevice?: unknown };
  if (name === 'native-gpu' && isUsingGpuDevice !== true)
    throw new BackendRefusal('it reports no GPU: see driver, CUDA 11.2 and cuDNN 8.1');
}

function load(path: string): void {
  try {
    requireHere(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'MODULE_NOT_FOUND') throw new BackendRefusal('a package that it needs is not installed');
    if (code === 'ERR_DLOPEN_FAILED') throw new BackendRefusal('its binding cannot be loaded here');
    throw new BackendRefusal(`it cannot be loaded; ${REBUILD}`);
  }
}
