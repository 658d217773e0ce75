import { portableRingKernel } from './portable-ring-kernel.js';
import type { RingKernel } from './ring-kernel.js';
import { wasmRingKernel } from './wasm-ring-kernel.js';

/** The fastest kernel of this machine, made once. */
export const defaultRingKernel: RingKernel = wasmRingKernel() ?? portableRingKernel;
