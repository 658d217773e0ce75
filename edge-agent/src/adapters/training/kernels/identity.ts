import { Cast, Identity, type CastAttrs } from '@tensorflow/tfjs-core';

import { wasmKernel, type Tensors } from './kernel.js';

/** The same values under another name, any shape: shares them, counted, where the published kernel copies. */
export const identity = wasmKernel<Tensors<'x'>, object>(Identity, (heap, { x }) =>
  x.dtype === 'string' ? undefined : heap.share(x),
);

/** Values of the type that they have already, any shape, as {@link identity}; other casts are left to the published kernel. */
export const cast = wasmKernel<Tensors<'x'>, CastAttrs>(Cast, (heap, { x }, { dtype }) =>
  x.dtype === dtype && dtype !== 'string' ? heap.share(x) : undefined,
);
