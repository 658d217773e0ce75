import { z } from 'zod';

import { LIMITS } from '../limits.js';

import { METRIC_NAMES } from '../metrics/metric-names.js';
import { isDistinct } from './learning-task.js';
import { cellTextSchema, labelsSchema, nameSchema } from './metadata.js';

export const siteSelectorSchema = z.strictObject({
  matchLabels: labelsSchema
    .default({})
    .describe('Labels that a site must carry, all of them; empty selects every site.'),
});

/** How a round gathers updates. */
export const modeSchema = z.discriminatedUnion('type', [z.strictObject({ type: z.literal('Sync') })]);

/** How updates become the next model. FedAvg: McMahan et al., AISTATS 2017. */
export const strategySchema = z.discriminatedUnion('type', [z.strictObject({ type: z.literal('FedAvg') })]);

/** Names of strategies that this build serves. */
export const STRATEGIES = ['FedAvg'] as const;

export const updateSchema = z.strictObject({
  clipNorm: z
    .number()
    .min(1e-6)
    .max(1e6)
    .default(10)
    .describe('L2 norm to which the update of a site is clipped, 1e-6 to 1e6.'),
  weightCap: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .default(10_000)
    .describe('Training rows at which the weight of a site reaches 1; more rows count no more.'),
});

const subgroupSchema = z.strictObject({
  column: cellTextSchema.describe('Column that is compared, a feature or not.'),
  values: z
    .array(cellTextSchema)
    .min(1)
    .max(64)
    .refine(isDistinct, 'a value is listed twice; list each once')
    .describe('Cells that each make a subgroup; sites leave out those with fewer rows than their minCount.'),
});

export const evaluationSchema = z.strictObject({
  metrics: z
    .array(z.enum(METRIC_NAMES))
    .max(METRIC_NAMES.length)
    .refine(isDistinct, 'a metric is listed twice; list each once')
    .default([])
    .describe('Metrics that every site reports on its test rows, besides the loss.'),
  intervals: z
    .boolean()
    .optional()
    .describe('Whether each metric comes with the standard error of its mean over the sites.'),
  holdOutSite: nameSchema
    .optional()
    .describe('A site that does not train and reports the metrics of a model that never saw its rows.'),
  subgroups: z
    .array(subgroupSchema)
    .max(16)
    .refine(
      (subgroups) => isDistinct(subgroups.map(({ column }) => column)),
      'a column is listed twice; list its values once',
    )
    .optional()
    .describe('Parts of the test rows whose metrics are reported apart.'),
  perSite: z
    .boolean()
    .optional()
    .describe(
      'Whether the metrics of each site are recorded by its name; sites must allow it (metricsPerSite).',
    ),
});

export const privacySchema = z.strictObject({
  secureAggregation: z
    .boolean()
    .default(true)
    .describe('Whether the coordinator sees only sums of updates; needs three sites or more.'),
  colluders: z
    .int()
    .min(0)
    .max(LIMITS.updatesPerRound)
    .optional()
    .describe(
      'Sites that may work together with the coordinator and learn no update of another: the more, the fewer may drop out. Default: a third of the cohort.',
    ),
  dropouts: z
    .int()
    .min(0)
    .max(LIMITS.updatesPerRound)
    .optional()
    .describe('Sites that may drop out of a round, at least. Default: as many as colluders leave.'),
  threshold: z
    .int()
    .min(2)
    .max(LIMITS.updatesPerRound)
    .optional()
    .describe('Sites that together recover what a mask was made of. Default: the fewest that are safe.'),
  adversary: z
    .enum(['HonestButCurious', 'Active'])
    // Written only where somebody wrote it: sites of builds that do not know the field serve what does not ask for it.
    .optional()
    .describe(
      'What the coordinator is taken for. Active: it may show sites different things and own one; fewer sites may drop out. Default: HonestButCurious.',
    ),
});
