import { z } from 'zod';

import { isDistinct } from './learning-task.js';
import { cellTextSchema } from './metadata.js';

/** Cells that count as missing unless a feature names others. */
export const DEFAULT_MISSING: readonly string[] = Object.freeze(['', 'NA', 'NaN']);

/** Largest magnitude of an encoded value: finite as float32, with room for any product of one layer. */
export const MAX_CLIP = 1_000_000;

const finite = z.number().min(-1e300).max(1e300);

const missing = z
  .array(
    z
      .string()
      .max(128)
      .regex(/^(\S(.*\S)?)?$/, 'begins or ends with a space, which cells are read without; remove it'),
  )
  .max(32)
  .refine(isDistinct, 'a marker is listed twice; list each once')
  .optional()
  .describe("Cells that count as missing, besides absent ones and null. Without it: '', 'NA' and 'NaN'.");

/** How one column becomes inputs of the model. The same plan runs in training, evaluation, export and serving. */
export const featureSchema = z.discriminatedUnion('type', [
  z.strictObject({
    name: cellTextSchema.describe('Column of the dataset.'),
    type: z.literal('Numeric'),
    missing,
    transform: z
      .enum(['Identity', 'Log1p'])
      .default('Identity')
      .describe('Applied to the cell first. Log1p is ln(1 + x), for x > -1.'),
    center: finite.default(0).describe('Subtracted after the transform, in its units.'),
    scale: z
      .number()
      .min(1e-9)
      .max(1e300)
      .default(1)
      .describe('Divisor after centring, in units of the transform, at least 1e-9.'),
    impute: finite
      .optional()
      .describe(
        'Cell value taken for a missing one, before the transform. Without it a missing cell encodes as 0.',
      ),
    clip: z
      .number()
      .gt(0)
      .max(MAX_CLIP)
      .default(MAX_CLIP)
      .describe('Largest magnitude of the scaled value, up to 1e6.'),
  }),
  z.strictObject({
    name: cellTextSchema.describe('Column of the dataset.'),
    type: z.literal('Categorical'),
    missing,
    categories: z
      .array(cellTextSchema)
      .min(1)
      .max(1_000)
      .refine(isDistinct, 'a category is listed twice; list each once')
      .describe(
        'Values with an input of their own, 1 to 1000; unknown and missing ones share one more input.',
      ),
  }),
]);

export type FeatureSpec = z.output<typeof featureSchema>;
export type NumericFeatureSpec = Extract<FeatureSpec, { type: 'Numeric' }>;
export type CategoricalFeatureSpec = Extract<FeatureSpec, { type: 'Categorical' }>;
