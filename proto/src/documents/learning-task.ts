import { z } from 'zod';

import { cellTextSchema, nameSchema, seedSchema } from './metadata.js';

/** What is learned: the meaning of the label column and, with it, the loss. */
export const taskSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('Binary'),
    positive: cellTextSchema.describe('Label value of the positive class; every other value is negative.'),
  }),
  z.strictObject({
    type: z.literal('MultiClass'),
    classes: z
      .array(cellTextSchema)
      .min(2)
      .max(1_000)
      .refine(isDistinct, 'a class is listed twice; list each once')
      .describe('Label values, 2 to 1000, in the order of the output units.'),
  }),
  z.strictObject({ type: z.literal('Regression') }),
]);

export type LearningTask = z.output<typeof taskSchema>;

export const datasetSchema = z.strictObject({
  name: nameSchema.describe('Name under which each site declares its own dataset.'),
  label: cellTextSchema.describe('Column of the label.'),
  testFraction: z
    .number()
    .min(0)
    .max(0.9)
    .default(0.25)
    .describe('Part of the rows of each site that is kept for evaluation, 0 to 0.9; 0 evaluates nothing.'),
  splitSeed: seedSchema
    .default(1)
    .describe('A row is test or training by a hash of this seed and its index, the same in every round.'),
});

export type DatasetSpec = z.output<typeof datasetSchema>;

/** True where no text occurs twice. */
export function isDistinct(texts: readonly string[]): boolean {
  return new Set(texts).size === texts.length;
}
