import { z } from 'zod';

import { nameSchema, seedSchema } from './metadata.js';

/** Activations of a layer; Softmax only in the last. */
export const ACTIVATIONS = ['Linear', 'Relu', 'Sigmoid', 'Tanh', 'Softmax'] as const;

export type Activation = (typeof ACTIVATIONS)[number];

export const layerSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('Dense'),
    units: z.int().min(1).max(65_536).describe('Outputs of the layer, 1 to 65536.'),
    activation: z.enum(ACTIVATIONS).default('Linear').describe('Function of the outputs.'),
  }),
]);

export type LayerSpec = z.output<typeof layerSchema>;

export const modelSchema = z.strictObject({
  name: nameSchema.describe('Model under which the result is registered as a new version.'),
  layers: z
    .array(layerSchema)
    .min(1)
    .max(64)
    .describe('Layers from input to output; the last must fit the task (see the task).'),
  seed: seedSchema.default(1).describe('Seed of the initial weights.'),
});

export type ModelSpec = z.output<typeof modelSchema>;
