import { z } from 'zod';

import { kerasActivation } from '../keras-config.js';
import type { Shape } from '../shape.js';
import { activationField } from './fields.js';
import { NO_TENSORS, type LayerKind } from './layer-kind.js';

export const activationSchema = z.strictObject({
  type: z.literal('Activation'),
  activation: activationField,
  slope: z
    .number()
    .min(0)
    .max(10)
    .optional()
    .describe('Slope of LeakyRelu below 0, 0 to 10. Without it: 0.3. Not for other activations.'),
});

export const preluSchema = z.strictObject({
  type: z.literal('PRelu'),
  sharedAxes: z
    .array(z.int().min(1).max(4))
    .max(4)
    .optional()
    .describe('Axes that share one slope, from 1: [1, 2] learns one for each channel of an image.'),
});

export const dropoutSchema = z.strictObject({
  type: z.literal('Dropout'),
  rate: z.number().min(0).lt(1).describe('Part of the values that a training step sets to 0, 0 to below 1.'),
});

/** A function of each value. LeakyRelu is a class of its own in Keras; see keras.ts. */
export const activation: LayerKind<z.output<typeof activationSchema>> = {
  className: 'Activation',
  output(spec, input) {
    if (spec.slope === undefined || spec.activation === 'LeakyRelu') return input;
    return { path: ['slope'], what: `is for LeakyRelu, not ${spec.activation}`, fix: 'remove it' };
  },
  tensors: NO_TENSORS,
  toKeras: (spec) => ({ activation: kerasActivation(spec.activation) }),
  fromKeras: (config) => ({ type: 'Activation', activation: config.activation('activation') }),
};

const slopesShape = (sharedAxes: readonly number[] | undefined, input: Shape): Shape =>
  input.map((size, axis) => (sharedAxes?.includes(axis + 1) === true ? 1 : size));

/** max(x, 0) + alpha min(x, 0) with a learned alpha (He et al., ICCV 2015). */
export const prelu: LayerKind<z.output<typeof preluSchema>> = {
  className: 'PReLU',
  output({ sharedAxes = [] }, input) {
    const index = sharedAxes.findIndex((axis) => axis > input.length);
    if (index === -1) return input;
    const what = `the input has only ${String(input.length)} axes`;
    return { path: ['sharedAxes', index], what, fix: 'remove it' };
  },
  tensors: ({ sharedAxes }, input) => [
    {
      name: 'alpha',
      shape: slopesShape(sharedAxes, input),
      initial: 'Zeros',
      trainable: true,
      decayed: false,
    },
  ],
  toKeras: ({ sharedAxes }) => ({ shared_axes: sharedAxes === undefined ? null : [...sharedAxes] }),
  fromKeras(config) {
    config.requireAbsent('alpha_regularizer', 'alpha_constraint');
    const sharedAxes = config.sizes('shared_axes');
    return { type: 'PRelu', ...(sharedAxes && { sharedAxes }) };
  },
};

/** Zeroes values at random while it learns and enlarges the others to match (Srivastava et al., JMLR 15, 2014). */
export const dropout: LayerKind<z.output<typeof dropoutSchema>> = {
  className: 'Dropout',
  output: (_, input) => input,
  tensors: NO_TENSORS,
  toKeras: ({ rate }) => ({ rate }),
  fromKeras(config) {
    config.requireAbsent('noise_shape');
    return { type: 'Dropout', rate: config.number('rate') };
  },
};
