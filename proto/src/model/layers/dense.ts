import { z } from 'zod';

import { kerasActivation } from '../keras-config.js';
import { activationField, biasField, unitsField } from './fields.js';
import { kernel, optionalBias, type LayerKind } from './layer-kind.js';

export const denseSchema = z.strictObject({
  type: z.literal('Dense'),
  units: unitsField,
  activation: activationField,
  bias: biasField,
});

/** Every output sees every value of the last axis: activation(x kernel + bias). */
export const dense: LayerKind<z.output<typeof denseSchema>> = {
  className: 'Dense',
  output: ({ units }, input) => [...input.slice(0, -1), units],
  tensors: ({ units, bias }, input) => [
    kernel('kernel', [input.at(-1) ?? 1, units]),
    ...optionalBias(bias, units),
  ],
  toKeras: ({ units, activation, bias }) => ({
    units,
    activation: kerasActivation(activation),
    use_bias: bias ?? true,
  }),
  fromKeras: (config) => ({
    type: 'Dense',
    units: config.number('units'),
    activation: config.activation('activation'),
    ...(!config.flag('use_bias', true) && { bias: false }),
  }),
};
