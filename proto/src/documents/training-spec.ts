import { z } from 'zod';

import { LOSS_NAMES } from '../metrics/loss-names.js';
import { seedSchema } from './metadata.js';

const learningRate = z.number().gt(0).max(10).describe('Step size, above 0 and up to 10.');
const decay = z
  .number()
  .min(0)
  .lt(1)
  .default(0.9)
  .describe('Part of the running mean of squared gradients that is kept, 0 to below 1.');

/** Constants that a job does not set are those of Keras; each optimizer names its paper. */
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
  // Epsilon 1e-7 (Tieleman and Hinton, Coursera lecture 6.5, 2012).
  z.strictObject({ type: z.literal('RmsProp'), learningRate, decay }),
  // Accumulators begin at 0.1, epsilon 1e-7 (Duchi, Hazan and Singer, JMLR 12, 2011).
  z.strictObject({ type: z.literal('Adagrad'), learningRate }),
  // Decay 0.95, epsilon 1e-7 (Zeiler, arXiv 1212.5701); a learning rate of 1 is the paper's.
  z.strictObject({ type: z.literal('Adadelta'), learningRate }),
  // Moment decays 0.9 and 0.999, epsilon 1e-7 (Kingma and Ba, ICLR 2015, section 7.1).
  z.strictObject({ type: z.literal('Adamax'), learningRate }),
]);

export type OptimizerSpec = z.output<typeof optimizerSchema>;

const unit = z
  .enum(['Round', 'Epoch'])
  .default('Round')
  .describe(
    'What the schedule counts: the rounds of the job, the rate being constant within a round, or the epochs of a round, anew in every round.',
  );
const factor = z.number().gt(0).lt(1).describe('What the rate is multiplied by each time, between 0 and 1.');

/** How the learning rate changes; i counts units from 0, n of them in all. */
export const scheduleSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Constant'), unit }),
  z.strictObject({
    type: z.literal('StepDecay'),
    unit,
    factor,
    every: z.int().min(1).max(10_000).describe('Units between two steps, 1 to 10000.'),
  }),
  z.strictObject({ type: z.literal('Exponential'), unit, factor }),
  // Loshchilov and Hutter, ICLR 2017, without restarts.
  z.strictObject({
    type: z.literal('Cosine'),
    unit,
    floor: z
      .number()
      .min(0)
      .lt(1)
      .default(0)
      .describe('Part of the learning rate that is approached at the end, 0 to below 1.'),
  }),
  z.strictObject({
    type: z.literal('Warmup'),
    unit,
    length: z
      .int()
      .min(1)
      .max(10_000)
      .describe('Units over which the rate rises evenly to the full one, 1 to 10000.'),
  }),
]);

export type ScheduleSpec = z.output<typeof scheduleSchema>;

export const earlyStoppingSchema = z.strictObject({
  patience: z
    .int()
    .min(1)
    .max(1_000)
    .default(2)
    .describe('Epochs without improvement after which a round ends, 1 to 1000.'),
  minDelta: z
    .number()
    .min(0)
    .max(1e6)
    .default(0)
    .describe('Fall of the validation loss that counts as improvement must be larger than this.'),
  validationFraction: z
    .number()
    .gt(0)
    .max(0.5)
    .default(0.1)
    .describe('Part of the training rows that only judges the epochs, above 0 and up to 0.5.'),
});

export type EarlyStoppingSpec = z.output<typeof earlyStoppingSchema>;

export const trainingSchema = z.strictObject({
  epochs: z
    .int()
    .min(1)
    .max(1_000)
    .default(1)
    .describe("Passes over the site's training rows per round, 1 to 1000."),
  steps: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe(
      'Steps per round in place of epochs, the same at small and large sites: as many passes as they take.',
    ),
  batchSize: z.int().min(1).max(65_536).default(32).describe('Rows per step, 1 to 65536.'),
  optimizer: optimizerSchema.describe('Local optimizer; its state starts anew in every round.'),
  schedule: scheduleSchema
    .optional()
    .describe('How the learning rate changes over the rounds or within one; without it, it is constant.'),
  loss: z
    .enum(LOSS_NAMES)
    .optional()
    .describe(
      'What is minimised. Without it: BinaryCrossEntropy, CategoricalCrossEntropy or SquaredError, by the task.',
    ),
  classWeights: z
    .array(z.number().gt(0).max(1_000))
    .min(2)
    .max(1_000)
    .optional()
    .describe(
      'Factor of the loss of each class, above 0 and up to 1000: negative and positive (Binary), or in the order of the classes.',
    ),
  l2: z
    .number()
    .min(0)
    .max(10)
    .default(0)
    .describe('Factor of the squared weights (not biases) in the loss, 0 to 10.'),
  earlyStopping: earlyStoppingSchema
    .optional()
    .describe(
      'Ends a round early where the loss on rows held back no longer falls; the weights of the best epoch count.',
    ),
  seed: seedSchema
    .default(1)
    .describe('Seed of the order of rows, of the rows that judge epochs, and of dropout.'),
});

export type TrainingSpec = z.output<typeof trainingSchema>;
