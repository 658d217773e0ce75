import { z } from 'zod';

import { isDistinct } from './learning-task.js';
import { cellTextSchema } from './metadata.js';

const column = cellTextSchema.describe('Column of the dataset.');
const columns = (what: string) =>
  z
    .array(cellTextSchema)
    .max(4_096)
    .refine(isDistinct, 'a column is listed twice; list each once')
    .default([])
    .describe(what);

const width = z.number().gt(0).max(1e12).describe('Width of a band: years of age, or units of the column.');
const top = z
  .number()
  .min(-1e12)
  .max(1e12)
  .optional()
  .describe(
    'Value from which all are one band. Without it: 90 for ages, since few people are older; none for Band.',
  );

const generalisationSchema = z.discriminatedUnion('type', [
  z.strictObject({ column, type: z.literal('AgeBand'), width, top }),
  z.strictObject({ column, type: z.literal('Year') }),
  z.strictObject({ column, type: z.literal('YearMonth') }),
  z.strictObject({ column, type: z.literal('Band'), width, top }),
]);

const kAnonymitySchema = z.strictObject({
  quasiIdentifiers: z
    .array(cellTextSchema)
    .min(1)
    .max(32)
    .refine(isDistinct, 'a column is listed twice; list each once')
    .describe(
      'Columns that together could point at a person, as they are after dropping, masking and generalising.',
    ),
  k: z.int().min(2).max(1_000).describe('Fewest rows that share each combination of them, from 2.'),
  action: z
    .enum(['Refuse', 'Suppress'])
    .default('Refuse')
    .describe('Refuse: no job runs while a combination is rarer. Suppress: rows of rarer ones are left out.'),
});

/**
 * How a site changes its rows before any job sees them. k-anonymity: L. Sweeney, "k-anonymity: a model for protecting
 * privacy", Int. J. Uncertainty, Fuzziness and Knowledge-based Systems 10 (2002).
 */
export const deidentificationSchema = z
  .strictObject({
    drop: columns('Columns that no job may read.'),
    mask: columns('Columns whose every cell reads as one constant.'),
    generalise: z
      .array(generalisationSchema)
      .max(1_000)
      .refine(
        (steps) => isDistinct(steps.map((step) => step.column)),
        'a column is generalised twice; keep one',
      )
      .default([])
      .describe('Columns made coarser: bands read as their lower bound, dates as year or year and month.'),
    kAnonymity: kAnonymitySchema
      .optional()
      .describe('Rows must not stand out by these columns; without it that is not checked.'),
  })
  .superRefine(({ drop, mask, generalise, kAnonymity }, context) => {
    const complain = (path: string, name: string, problem: string): void => {
      context.addIssue({ code: 'custom', path: [path], message: `${name} ${problem}` });
    };
    for (const name of mask) if (drop.includes(name)) complain('mask', name, 'is dropped; list it once');
    for (const step of generalise) {
      if (drop.includes(step.column)) complain('generalise', step.column, 'is dropped; list it once');
      if (mask.includes(step.column)) complain('generalise', step.column, 'is masked; list it once');
    }
    for (const name of kAnonymity?.quasiIdentifiers ?? []) {
      if (drop.includes(name))
        complain('kAnonymity', name, 'is dropped and points at nobody; remove it from quasiIdentifiers');
    }
  });

export type DeidentificationSpec = z.output<typeof deidentificationSchema>;
export type Generalisation = DeidentificationSpec['generalise'][number];
