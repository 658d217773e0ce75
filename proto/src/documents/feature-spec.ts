import { z } from 'zod';

import { isDistinct } from './learning-task.js';
import { cellTextSchema, nameSchema } from './metadata.js';

/** Cells that count as missing unless a feature names others. */
export const DEFAULT_MISSING: readonly string[] = Object.freeze(['', 'NA', 'NaN']);

/** Largest magnitude of an encoded value: finite as float32, with room for any product of one layer. */
export const MAX_CLIP = 1_000_000;

/** Categories of one feature that take an input each, and entries of a vocabulary that a job may ask for. */
const MOST_CATEGORIES = 1_000;
const MOST_ENTRIES = 100_000;

/** Elements of a sequence: ten minutes at 100 Hz. */
const MOST_ELEMENTS = 65_536;

const finite = z.number().min(-1e300).max(1e300);

const name = cellTextSchema.describe(
  'Name of the feature, and the column of the dataset that it reads unless the feature names columns of its own.',
);

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
  .describe(
    "Cells that count as missing, besides absent ones and null. Without it: '', 'NA' and 'NaN'. Where a number is read, a marker that is one stands for its value: -9 for -9.0 as well.",
  );

/** Where center and scale come from, and what is done around them: the same for every kind that gives numbers. */
const scaled = {
  scaling: z
    .enum(['Given', 'Site', 'Federated'])
    .default('Given')
    .describe(
      'Where center and scale come from. Given: the job. Site: mean and standard deviation of the training rows of each site, which stay there. Federated: those of all sites, from a round of sums before the first round.',
    ),
  center: finite
    .optional()
    .describe('Subtracted after the transform, in its units. Default 0. With scaling Given only.'),
  scale: z
    .number()
    .min(1e-9)
    .max(1e300)
    .optional()
    .describe(
      'Divisor after centring, in units of the transform, at least 1e-9. Default 1. With scaling Given only.',
    ),
  low: finite
    .optional()
    .describe(
      'Smallest value, before the transform, that counts in the sums of scaling Federated, which needs it; smaller ones count as this one. Chosen by the author, never read from data.',
    ),
  high: finite.optional().describe('Largest value that counts there, as low is the smallest.'),
  impute: finite
    .optional()
    .describe(
      'Value taken for a missing one, before the transform. Without it a missing value encodes as 0, the mean after centring.',
    ),
  clip: z
    .number()
    .gt(0)
    .max(MAX_CLIP)
    .default(MAX_CLIP)
    .describe('Largest magnitude of the scaled value, up to 1e6.'),
};

const indicator = z
  .boolean()
  .default(false)
  .describe('Adds an input that is 1 where the value is missing, else 0.');

const numericSchema = z.strictObject({
  name,
  type: z.literal('Numeric'),
  missing,
  transform: z
    .enum(['Identity', 'Log1p'])
    .default('Identity')
    .describe('Applied to the cell first. Log1p is ln(1 + x), for x > -1.'),
  ...scaled,
  indicator,
});

const categoricalSchema = z.strictObject({
  name,
  type: z.literal('Categorical'),
  missing,
  categories: z
    .array(cellTextSchema)
    .min(1)
    .max(MOST_CATEGORIES)
    .refine(isDistinct, 'a category is listed twice; list each once')
    .optional()
    .describe(
      'Values with an input of their own, 1 to 1000; unknown and missing ones share one more input. This or vocabulary.',
    ),
  vocabulary: z
    .strictObject({
      name: nameSchema.describe('Vocabulary as the policy of each site names it.'),
      size: z.int().min(1).max(MOST_ENTRIES).describe('Entries, 1 to 100000.'),
      digest: z
        .string()
        .regex(/^sha256:[0-9a-f]{64}$/, 'not a digest; write sha256: and 64 hex digits')
        .describe('SHA-256 of the canonical JSON of the list of entries: the same list at every site.'),
    })
    .optional()
    .describe('List of categories that the sites agreed on, kept in their policies. This or categories.'),
  encoding: z
    .enum(['OneHot', 'Index'])
    .default('OneHot')
    .describe(
      'OneHot: one input per category. Index: one input with the position of the category from 0, the number of categories for unknown and missing ones, as an Embedding takes it.',
    ),
});

const dateSchema = z.strictObject({
  name,
  type: z.literal('Date'),
  missing,
  column: cellTextSchema
    .optional()
    .describe('Column of dates (ISO 8601, such as 2024-05-31), where it is not the name.'),
  part: z
    .enum(['Year', 'Month', 'DayOfWeek', 'DayOfYear', 'Days'])
    .describe(
      'Number taken from the date: year, month 1 to 12, day of the week from 1 for Monday, day of the year from 1, or days since the reference.',
    ),
  reference: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}$/, 'not a date; write it as 2024-05-31')
    .optional()
    .describe('Date from which Days are counted, such as 2020-01-01; with Days only, which needs it.'),
  ...scaled,
  indicator,
});

const ratioSchema = z.strictObject({
  name,
  type: z.literal('Ratio'),
  missing,
  numerator: cellTextSchema.describe('Column above the line.'),
  denominator: cellTextSchema.describe('Column below the line; where it is 0 the ratio is missing.'),
  ...scaled,
  indicator,
});

const sequenceSchema = z.strictObject({
  name,
  type: z.literal('Sequence'),
  missing,
  length: z.int().min(1).max(MOST_ELEMENTS).describe('Elements of the input, 1 to 65536.'),
  truncate: z.enum(['First', 'Last']).default('Last').describe('Which elements of a longer list are kept.'),
  padding: z
    .enum(['Start', 'End'])
    .default('Start')
    .describe('On which side a shorter list is filled up, with inputs of 0.'),
  ...scaled,
});

/** How columns become inputs of the model. The same plan runs in training, evaluation, export and serving. */
export const featureSchema = z.discriminatedUnion('type', [
  numericSchema.overwrite(withGivenScaling),
  categoricalSchema,
  dateSchema.overwrite(withGivenScaling),
  ratioSchema.overwrite(withGivenScaling),
  sequenceSchema.overwrite(withGivenScaling),
]);

export type FeatureSpec = z.output<typeof featureSchema>;
export type NumericFeatureSpec = Extract<FeatureSpec, { type: 'Numeric' }>;
export type CategoricalFeatureSpec = Extract<FeatureSpec, { type: 'Categorical' }>;
export type DateFeatureSpec = Extract<FeatureSpec, { type: 'Date' }>;
export type RatioFeatureSpec = Extract<FeatureSpec, { type: 'Ratio' }>;
export type SequenceFeatureSpec = Extract<FeatureSpec, { type: 'Sequence' }>;
/** Kinds that read one number of a row. */
export type ScalarFeatureSpec = NumericFeatureSpec | DateFeatureSpec | RatioFeatureSpec;
/** Kinds that are centred and scaled. */
export type ScaledFeatureSpec = ScalarFeatureSpec | SequenceFeatureSpec;

/** Columns that a feature reads: one, or two of a ratio. */
export function columnsOf(feature: FeatureSpec): readonly string[] {
  switch (feature.type) {
    case 'Ratio':
      return [feature.numerator, feature.denominator];
    case 'Date':
      return [feature.column ?? feature.name];
    case 'Numeric':
    case 'Categorical':
    case 'Sequence':
      return [feature.name];
  }
}

/** Columns that features read, each once, in the order of their first use. */
export function featureColumns(features: readonly FeatureSpec[]): readonly string[] {
  return [...new Set(features.flatMap(columnsOf))];
}

/** Entries of a categorical feature: of its list, or of its vocabulary as the job says. */
export function categoryCount({ categories, vocabulary }: CategoricalFeatureSpec): number {
  return categories?.length ?? vocabulary?.size ?? 0;
}

interface Scaled {
  readonly scaling: 'Given' | 'Site' | 'Federated';
  readonly center?: number | undefined;
  readonly scale?: number | undefined;
}

/** The defaults of center and scale, which exist only where scaling is Given. */
function withGivenScaling<T extends Scaled>(feature: T): T {
  if (feature.scaling !== 'Given') return feature;
  return { ...feature, center: feature.center ?? 0, scale: feature.scale ?? 1 };
}
