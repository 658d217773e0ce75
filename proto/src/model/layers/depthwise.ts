import { z } from 'zod';

import { kerasActivation, type KerasConfig } from '../keras-config.js';
import { rankProblem, type Shape } from '../shape.js';
import { axesProblem, ones, perAxis, windowOutput } from './axes.js';
import {
  activationField,
  biasField,
  depthMultiplierField,
  filtersField,
  kernelSizeField,
  paddingField,
  stridesField,
} from './fields.js';
import { isProblem, kernel, optionalBias, type LayerKind } from './layer-kind.js';
import { KERAS_PADDING } from './window-config.js';

const fields = {
  kernelSize: kernelSizeField,
  strides: stridesField,
  padding: paddingField,
  depthMultiplier: depthMultiplierField,
  activation: activationField,
  bias: biasField,
};

export const depthwiseConv2dSchema = z.strictObject({ type: z.literal('DepthwiseConv2d'), ...fields });

export const separableConv2dSchema = z.strictObject({
  type: z.literal('SeparableConv2d'),
  filters: filtersField,
  ...fields,
});

type Depthwise = z.output<z.ZodObject<typeof fields>>;

/** Rows and columns after the window, or the problem of one that does not fit. */
function rowsAndColumns(type: string, spec: Depthwise, input: Shape) {
  const { kernelSize, strides, padding } = spec;
  const fault = rankProblem(type, 3, input) ?? axesProblem({ kernelSize, strides }, 2);
  if (fault !== undefined) return fault;
  const size = perAxis(kernelSize, 2, []);
  const steps = perAxis(strides, 2, ones(2));
  if (steps[0] !== steps[1])
    return {
      path: ['strides'],
      what: 'rows and columns have different steps',
      fix: 'give one step for both',
    };
  return windowOutput({ size, strides: steps, padding }, input.slice(0, 2), 'kernelSize');
}

const depthwiseKernel = ({ kernelSize, depthMultiplier }: Depthwise, channels: number) =>
  kernel('depthwise_kernel', [...perAxis(kernelSize, 2, []), channels, depthMultiplier]);

const windowToKeras = ({ kernelSize, strides, padding, depthMultiplier, activation, bias }: Depthwise) => ({
  kernel_size: [...perAxis(kernelSize, 2, [])],
  strides: [...perAxis(strides, 2, ones(2))],
  padding: KERAS_PADDING[padding],
  data_format: 'channels_last',
  depth_multiplier: depthMultiplier,
  activation: kerasActivation(activation),
  use_bias: bias ?? true,
});

function windowFromKeras(config: KerasConfig): Depthwise {
  config.require({ data_format: 'channels_last' });
  config.requireOnes('dilation_rate');
  const strides = config.sizes('strides');
  return {
    kernelSize: config.sizes('kernel_size') ?? [],
    ...(strides && { strides }),
    padding: config.choice('padding', KERAS_PADDING, 'Valid'),
    depthMultiplier: config.number('depth_multiplier', 1),
    activation: config.activation('activation'),
    ...(!config.flag('use_bias', true) && { bias: false }),
  };
}

/** A kernel of its own for each channel. */
export const depthwiseConv2d: LayerKind<z.output<typeof depthwiseConv2dSchema>> = {
  className: 'DepthwiseConv2D',
  output(spec, input) {
    const output = rowsAndColumns(spec.type, spec, input);
    return isProblem(output) ? output : [...output, (input[2] ?? 1) * spec.depthMultiplier];
  },
  tensors(spec, input) {
    const channels = input[2] ?? 1;
    return [depthwiseKernel(spec, channels), ...optionalBias(spec.bias, channels * spec.depthMultiplier)];
  },
  toKeras: windowToKeras,
  fromKeras(config) {
    return { type: 'DepthwiseConv2d', ...windowFromKeras(config) };
  },
};

/** A depthwise convolution, then a mixture of the channels (Chollet, CVPR 2017). */
export const separableConv2d: LayerKind<z.output<typeof separableConv2dSchema>> = {
  className: 'SeparableConv2D',
  output(spec, input) {
    const output = rowsAndColumns(spec.type, spec, input);
    return isProblem(output) ? output : [...output, spec.filters];
  },
  tensors(spec, input) {
    const channels = input[2] ?? 1;
    return [
      depthwiseKernel(spec, channels),
      kernel('pointwise_kernel', [1, 1, channels * spec.depthMultiplier, spec.filters]),
      ...optionalBias(spec.bias, spec.filters),
    ];
  },
  toKeras: (spec) => ({
    filters: spec.filters,
    ...windowToKeras(spec),
  }),
  fromKeras(config) {
    return {
      type: 'SeparableConv2d',
      filters: config.number('filters'),
      ...windowFromKeras(config),
    };
  },
};
