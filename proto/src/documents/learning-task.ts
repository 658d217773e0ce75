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
  z.strictObject({
    type: z.literal('Regression'),
    center: z
      .number()
      .min(-1e12)
      .max(1e12)
      .optional()
      .describe('Subtracted from the label before it is learned, -1e12 to 1e12; 0 where absent.'),
    scale: z
      .number()
      .min(1e-12)
      .max(1e12)
      .optional()
      .describe(
        'By which the label is then divided, 1e-12 to 1e12; 1 where absent. With both, labels should lie within about -2 to 2: the loss is that of the scaled label, metrics and exported models give units of the label.',
      ),
  }),
]);

export type LearningTask = z.output<typeof taskSchema>;

/** How the output of a regression becomes a label: label = center + scale * output. */
export interface LabelScaling {
  readonly center: number;
  readonly scale: number;
}

/** The scaling of a regression; undefined for tasks with classes, and where the output is the label. */
export function labelScaling(task: LearningTask): LabelScaling | undefined {
  if (task.type !== 'Regression') return undefined;
  const { center = 0, scale = 1 } = task;
  return center === 0 && scale === 1 ? undefined : { center, scale };
}

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
