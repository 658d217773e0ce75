import type { Kernel } from './kernel.js';
import { portableKernel } from './portable-kernel.js';
import { wasmKernel } from './wasm-kernel.js';

/** The fastest kernel of this machine, made once. */
export const defaultKernel: Kernel = wasmKernel() ?? portableKernel;
