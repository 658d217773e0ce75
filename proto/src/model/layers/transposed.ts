import { z } from 'zod';

import { kerasActivation } from '../keras-config.js';
import { rankProblem } from '../shape.js';
import { axesProblem, ones, perAxis } from './axes.js';
import {
  activationField,
  biasField,
  filtersField,
  kernelSizeField,
  paddingField,
  stridesField,
} from './fields.js';
import { kernel, optionalBias, type LayerKind } from './layer-kind.js';
import { KERAS_PADDING } from './window-config.js';

export const conv2dTransposeSchema = z.strictObject({
  type: z.literal('Conv2dTranspose'),
  filters: filtersField,
  kernelSize: kernelSizeField,
  strides: stridesField,
  padding: paddingField,
  activation: activationField,
  bias: biasField,
});

/** The derivative of a convolution by its input: enlarges rows and columns by the strides. */
export const conv2dTranspose: LayerKind<z.output<typeof conv2dTransposeSchema>> = {
  className: 'Conv2DTranspose',
  output(spec, input) {
    const { kernelSize, strides, padding, filters } = spec;
    const fault = rankProblem(spec.type, 3, input) ?? axesProblem({ kernelSize, strides }, 2);
    if (fault !== undefined) return fault;
    const size = perAxis(kernelSize, 2, []);
    const steps = perAxis(strides, 2, ones(2));
    const enlarged = input.slice(0, 2).map((length, axis) => {
      const step = steps[axis] ?? 1;
      return length * step + (padding === 'Valid' ? Math.max((size[axis] ?? 1) - step, 0) : 0);
    });
    return [...enlarged, filters];
  },
  tensors: ({ kernelSize, filters, bias }, input) => [
    kernel('kernel', [...perAxis(kernelSize, 2, []), filters, input.at(-1) ?? 1]),
    ...optionalBias(bias, filters),
  ],
  toKeras: ({ filters, kernelSize, strides, padding, activation, bias }) => ({
    filters,
    kernel_size: [...perAxis(kernelSize, 2, [])],
    strides: [...perAxis(strides, 2, ones(2))],
    padding: KERAS_PADDING[padding],
    data_format: 'channels_last',
    activation: kerasActivation(activation),
    use_bias: bias ?? true,
  }),
  fromKeras(config) {
    config.require({ data_format: 'channels_last', groups: 1 });
    config.requireOnes('dilation_rate');
    config.requireAbsent('output_padding');
    const strides = config.sizes('strides');
    return {
      type: 'Conv2dTranspose',
      filters: config.number('filters'),
      kernelSize: config.sizes('kernel_size') ?? [],
      padding: config.choice('padding', KERAS_PADDING, 'Valid'),
      ...(strides && { strides }),
      activation: config.activation('activation'),
      ...(!config.flag('use_bias', true) && { bias: false }),
    };
  },
};
