import { z } from 'zod';

import { seedSchema } from './metadata.js';

const learningRate = z.number().gt(0).max(10).describe('Step size, above 0 and up to 10.');

export const optimizerSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Sgd'), learningRate }),
  z.strictObject({
    type: z.literal('Momentum'),
    learningRate,
    momentum: z
      .number()
      .min(0)
      .lt(1)
      .default(0.9)
      .describe('Part of the previous step that is kept, 0 to below 1.'),
  }),
  // First and second moment decay 0.9 and 0.999, epsilon 1e-7 (Kingma and Ba, ICLR 2015).
  z.strictObject({ type: z.literal('Adam'), learningRate }),
]);

export type OptimizerSpec = z.output<typeof optimizerSchema>;

export const trainingSchema = z.strictObject({
  epochs: z
    .int()
    .min(1)
    .max(1_000)
    .default(1)
    .describe("Passes over the site's training rows per round, 1 to 1000."),
  batchSize: z.int().min(1).max(65_536).default(32).describe('Rows per step, 1 to 65536.'),
  optimizer: optimizerSchema.describe('Local optimizer; its state starts anew in every round.'),
  l2: z
    .number()
    .min(0)
    .max(10)
    .default(0)
    .describe('Factor of the squared weights (not biases) in the loss, 0 to 10.'),
  seed: seedSchema.default(1).describe('Seed of the order of rows.'),
});

export type TrainingSpec = z.output<typeof trainingSchema>;
