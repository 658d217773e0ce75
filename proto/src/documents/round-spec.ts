import { z } from 'zod';

import { METRIC_NAMES } from '../metrics/metric-names.js';
import { isDistinct } from './learning-task.js';
import { labelsSchema } from './metadata.js';

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

export const evaluationSchema = z.strictObject({
  metrics: z
    .array(z.enum(METRIC_NAMES))
    .max(METRIC_NAMES.length)
    .refine(isDistinct, 'a metric is listed twice; list each once')
    .default([])
    .describe('Metrics that every site reports on its test rows, besides the loss.'),
});

export const privacySchema = z.strictObject({
  secureAggregation: z
    .boolean()
    .describe(
      'Whether the coordinator may see only sums of updates. Has no default: a job says what it does.',
    ),
});
