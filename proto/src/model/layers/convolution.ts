import { z } from 'zod';

import { kerasActivation } from '../keras-config.js';
import { rankProblem } from '../shape.js';
import { axesProblem, ones, perAxis, windowOutput } from './axes.js';
import {
  activationField,
  biasField,
  filtersField,
  kernelSizeField,
  paddingField,
  stridesField,
} from './fields.js';
import { isProblem, kernel, optionalBias, type LayerKind } from './layer-kind.js';
import { KERAS_PADDING } from './window-config.js';

const fields = {
  filters: filtersField,
  kernelSize: kernelSizeField,
  strides: stridesField,
  padding: paddingField,
  activation: activationField,
  bias: biasField,
};

export const conv1dSchema = z.strictObject({ type: z.literal('Conv1d'), ...fields });
export const conv2dSchema = z.strictObject({ type: z.literal('Conv2d'), ...fields });
export const conv3dSchema = z.strictObject({ type: z.literal('Conv3d'), ...fields });

type Convolution = z.output<z.ZodObject<typeof fields>>;

/** A convolution over `axes` axes and all channels (cross-correlation, as everywhere in the field). */
function convolution<T extends string>(
  type: T,
  className: string,
  axes: number,
): LayerKind<Convolution & { type: T }> {
  return {
    className,
    output(spec, input) {
      const { kernelSize, strides, padding, filters } = spec;
      const fault = rankProblem(type, axes + 1, input) ?? axesProblem({ kernelSize, strides }, axes);
      if (fault !== undefined) return fault;
      const window = {
        size: perAxis(kernelSize, axes, []),
        strides: perAxis(strides, axes, ones(axes)),
        padding,
      };
      const output = windowOutput(window, input.slice(0, axes), 'kernelSize');
      return isProblem(output) ? output : [...output, filters];
    },
    tensors: ({ kernelSize, filters, bias }, input) => [
      kernel('kernel', [...perAxis(kernelSize, axes, []), input.at(-1) ?? 1, filters]),
      ...optionalBias(bias, filters),
    ],
    toKeras: ({ filters, kernelSize, strides, padding, activation, bias }) => ({
      filters,
      kernel_size: [...perAxis(kernelSize, axes, [])],
      strides: [...perAxis(strides, axes, ones(axes))],
      padding: KERAS_PADDING[padding],
      data_format: 'channels_last',
      activation: kerasActivation(activation),
      use_bias: bias ?? true,
    }),
    fromKeras(config) {
      config.require({ data_format: 'channels_last', groups: 1 });
      config.requireOnes('dilation_rate');
      const strides = config.sizes('strides');
      return {
        type,
        filters: config.number('filters'),
        kernelSize: config.sizes('kernel_size') ?? [],
        padding: config.choice('padding', KERAS_PADDING, 'Valid'),
        ...(strides && { strides }),
        activation: config.activation('activation'),
        ...(!config.flag('use_bias', true) && { bias: false }),
      };
    },
  };
}

export const conv1d = convolution('Conv1d', 'Conv1D', 1);
export const conv2d = convolution('Conv2d', 'Conv2D', 2);
export const conv3d = convolution('Conv3d', 'Conv3D', 3);
