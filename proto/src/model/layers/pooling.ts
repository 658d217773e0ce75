import { z } from 'zod';

import { rankProblem } from '../shape.js';
import { axesProblem, perAxis, windowOutput } from './axes.js';
import { paddingField, poolSizeField, stridesField } from './fields.js';
import { isProblem, NO_TENSORS, type LayerKind } from './layer-kind.js';
import { KERAS_PADDING } from './window-config.js';

const fields = { poolSize: poolSizeField, strides: stridesField, padding: paddingField };

export const maxPooling1dSchema = z.strictObject({ type: z.literal('MaxPooling1d'), ...fields });
export const maxPooling2dSchema = z.strictObject({ type: z.literal('MaxPooling2d'), ...fields });
export const averagePooling1dSchema = z.strictObject({ type: z.literal('AveragePooling1d'), ...fields });
export const averagePooling2dSchema = z.strictObject({ type: z.literal('AveragePooling2d'), ...fields });

type Pooling = z.output<z.ZodObject<typeof fields>>;

/** The largest or mean value of each channel in a window; the window moves by its own size unless strides say else. */
function pooling<T extends string>(
  type: T,
  className: string,
  axes: number,
): LayerKind<Pooling & { type: T }> {
  return {
    className,
    output({ poolSize, strides, padding }, input) {
      const fault = rankProblem(type, axes + 1, input) ?? axesProblem({ poolSize, strides }, axes);
      if (fault !== undefined) return fault;
      const size = perAxis(poolSize, axes, []);
      const window = { size, strides: perAxis(strides, axes, size), padding };
      const output = windowOutput(window, input.slice(0, axes), 'poolSize');
      return isProblem(output) ? output : [...output, input[axes] ?? 1];
    },
    tensors: NO_TENSORS,
    toKeras({ poolSize, strides, padding }) {
      const size = perAxis(poolSize, axes, []);
      return {
        pool_size: [...size],
        strides: [...perAxis(strides, axes, size)],
        padding: KERAS_PADDING[padding],
        data_format: 'channels_last',
      };
    },
    fromKeras(config) {
      config.require({ data_format: 'channels_last' });
      const strides = config.sizes('strides');
      return {
        type,
        poolSize: config.sizes('pool_size') ?? [2],
        ...(strides && { strides }),
        padding: config.choice('padding', KERAS_PADDING, 'Valid'),
      };
    },
  };
}

export const maxPooling1d = pooling('MaxPooling1d', 'MaxPooling1D', 1);
export const maxPooling2d = pooling('MaxPooling2d', 'MaxPooling2D', 2);
export const averagePooling1d = pooling('AveragePooling1d', 'AveragePooling1D', 1);
export const averagePooling2d = pooling('AveragePooling2d', 'AveragePooling2D', 2);
