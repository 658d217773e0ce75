import { z } from 'zod';

/** Activations of a layer; Softmax only in the last. */
export const ACTIVATIONS = [
  'Linear',
  'Relu',
  'Sigmoid',
  'Tanh',
  'Softmax',
  'Elu',
  'Selu',
  'Softplus',
  'LeakyRelu',
  'Swish',
  'Mish',
] as const;

export type Activation = (typeof ACTIVATIONS)[number];

/** Slope of LeakyRelu below 0 where a layer does not give another: the default of Keras. */
export const LEAKY_SLOPE = 0.3;

/** Fields that several layers share: one name means one thing in all of them. */
export const activationField = z
  .enum(ACTIVATIONS)
  .default('Linear')
  .describe('Function of the outputs. LeakyRelu has the slope 0.3 below 0; Softmax is for the last layer.');

export const biasField = z
  .boolean()
  .optional()
  .describe('Whether a bias is added to the outputs. Without it: true.');

export const unitsField = z.int().min(1).max(65_536).describe('Outputs of the layer, 1 to 65536.');

export const filtersField = z.int().min(1).max(16_384).describe('Channels of the output, 1 to 16384.');

export const kernelSizeField = z
  .array(z.int().min(1).max(1_024))
  .min(1)
  .max(3)
  .describe('Size of the kernel along each axis, such as [3, 3], or one for all axes, [3]; 1 to 1024.');

export const stridesField = z
  .array(z.int().min(1).max(1_024))
  .min(1)
  .max(3)
  .optional()
  .describe(
    'Steps of the window along each axis, or one for all, [2]. Without it: 1, and the size of a pool.',
  );

export const PADDINGS = ['Valid', 'Same'] as const;

export const paddingField = z
  .enum(PADDINGS)
  .default('Valid')
  .describe('Valid keeps the window inside the input; Same adds zeros so that steps of 1 keep the size.');

export const poolSizeField = z
  .array(z.int().min(1).max(1_024))
  .min(1)
  .max(2)
  .describe('Size of the window along each axis, such as [2, 2], or one for all axes, [2]; 1 to 1024.');

export const depthMultiplierField = z
  .int()
  .min(1)
  .max(1_024)
  .default(1)
  .describe('Outputs of the depthwise kernel for each channel, 1 to 1024.');

export const epsilonField = z
  .number()
  .min(1e-9)
  .max(1)
  .default(0.001)
  .describe('Added to the variance, 1e-9 to 1.');
