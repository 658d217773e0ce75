import { z } from 'zod';

import { rankProblem } from '../shape.js';
import { NO_TENSORS, type LayerKind } from './layer-kind.js';

export const globalAveragePooling1dSchema = z.strictObject({ type: z.literal('GlobalAveragePooling1d') });
export const globalAveragePooling2dSchema = z.strictObject({ type: z.literal('GlobalAveragePooling2d') });
export const globalMaxPooling1dSchema = z.strictObject({ type: z.literal('GlobalMaxPooling1d') });
export const globalMaxPooling2dSchema = z.strictObject({ type: z.literal('GlobalMaxPooling2d') });

/** The mean or largest value of each channel over all other axes. */
function globalPooling<T extends string>(type: T, className: string, axes: number): LayerKind<{ type: T }> {
  return {
    className,
    output: (_, input) => rankProblem(type, axes + 1, input) ?? input.slice(-1),
    tensors: NO_TENSORS,
    toKeras: () => (axes === 1 ? {} : { data_format: 'channels_last' }),
    fromKeras(config) {
      config.require({ data_format: 'channels_last', keepdims: false });
      return { type };
    },
  };
}

export const globalAveragePooling1d = globalPooling('GlobalAveragePooling1d', 'GlobalAveragePooling1D', 1);
export const globalAveragePooling2d = globalPooling('GlobalAveragePooling2d', 'GlobalAveragePooling2D', 2);
export const globalMaxPooling1d = globalPooling('GlobalMaxPooling1d', 'GlobalMaxPooling1D', 1);
export const globalMaxPooling2d = globalPooling('GlobalMaxPooling2d', 'GlobalMaxPooling2D', 2);
