import { z } from 'zod';

import { LIMITS } from '../limits.js';
import { rootMembersSchema } from '../membership/federation-root.js';
import { METRIC_NAMES } from '../metrics/metric-names.js';
import { isDistinct } from './learning-task.js';
import { deidentificationSchema } from './deidentification-spec.js';
import { API_VERSION, cellTextSchema, metadataSchema, nameSchema } from './metadata.js';
import { STRATEGIES } from './round-spec.js';
import { approvalSchema, computeSchema, keyHolderSchema, scheduleSchema } from './site-terms.js';

const LOG_ID = /^[0-9a-f]{64}$/;

const coordinatorsSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Enrolled') }),
  z.strictObject({
    type: z.literal('Listed'),
    logIds: z
      .array(z.string().regex(LOG_ID, 'not a log id; copy the 64 hex digits that `tributary version` prints'))
      .min(1)
      .max(64)
      .describe('Log ids (hex SHA-256 of the tree-head key) of the coordinators that are obeyed.'),
  }),
]);

const vocabularySchema = z.strictObject({
  name: nameSchema.describe('What jobs call it.'),
  values: z
    .array(cellTextSchema)
    .min(1)
    .max(100_000)
    .refine(isDistinct, 'a value is listed twice; list each once')
    .describe('Categories in the order of their indices; every site of a federation must list the same.'),
});

const datasetRuleSchema = z.strictObject({
  name: nameSchema.describe('Dataset as the agent declares it.'),
  columns: z
    .array(cellTextSchema)
    .min(1)
    .max(4_096)
    .refine(isDistinct, 'a column is listed twice; list each once')
    .refine(
      (columns) => !columns.includes('*') || columns.length === 1,
      "'*' stands alone; list it or columns, not both",
    )
    .describe("Columns that a job may read, the label among them; ['*'] allows every column."),
  minimumRows: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .default(100)
    .describe('Rows below which no job runs, from 1.'),
  minCount: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10)
    .describe(
      'Fewest rows behind anything that is told: the rows that train and those in the steps of a round, the test rows, a subgroup, a statistic of a feature, a count of `dataset describe`.',
    ),
  vocabularies: z
    .array(vocabularySchema)
    .max(100)
    .refine(
      (vocabularies) => isDistinct(vocabularies.map(({ name }) => name)),
      'a vocabulary is listed twice; list each once',
    )
    .default([])
    .describe('Lists of categories that jobs may name instead of listing them.'),
  deidentification: deidentificationSchema
    .prefault({})
    .describe('What is done to every row before a job sees it.'),
});

const federationSchema = z.strictObject({
  root: rootMembersSchema.describe(
    'Who decides about membership: the text that `tributary federation init` prints. Only members of rosters that it signed count.',
  ),
  authors: z
    .enum(['Listed', 'Roster'])
    .default('Listed')
    .describe(
      'Whose jobs are accepted: of authors that are in spec.authors and in the roster, or of every author in the roster.',
    ),
  pinnedPeers: z
    .array(nameSchema)
    .min(1)
    .max(LIMITS.updatesPerRound)
    .refine(isDistinct, 'a site is listed twice; list each once')
    .optional()
    .describe(
      'Sites that count towards minimumCohort besides this one; without it every member of the roster counts.',
    ),
});

const sitePolicySpecSchema = z.strictObject({
  coordinators: coordinatorsSchema
    .prefault({ type: 'Enrolled' })
    .describe('Whose orders count: of the coordinator that the site enrolled with, or of those listed.'),
  authors: z
    .array(keyHolderSchema)
    .max(1_000)
    .refine((authors) => isDistinct(authors.map(({ key }) => key)), 'a key is listed twice; list each once')
    .describe('Whose jobs are accepted; empty accepts none.'),
  federation: federationSchema
    .optional()
    .describe(
      'Membership that no coordinator can add to. Without it the site trusts its coordinator to name the members of a round.',
    ),
  datasets: z
    .array(datasetRuleSchema)
    .max(1_000)
    .refine((rules) => isDistinct(rules.map(({ name }) => name)), 'a dataset is listed twice; list each once')
    .describe('What jobs may read; empty allows nothing.'),
  minimumCohort: z
    .int()
    .min(1)
    .max(LIMITS.updatesPerRound)
    .default(2)
    .describe('Fewest sites of a round, and fewest reports (minSites) of a job, for this site to take part.'),
  maximumParameters: z
    .int()
    .min(1)
    .max(LIMITS.modelParameters)
    .default(1_000_000)
    .describe('Largest model that is trained here, in parameters.'),
  maximumRounds: z.int().min(1).max(10_000).default(1_000).describe('Most rounds of one job.'),
  requireSecureAggregation: z
    .boolean()
    .default(false)
    .describe('Refuses jobs in which the coordinator could see the update of this site alone.'),
  strategies: z
    .array(z.enum(STRATEGIES))
    .refine(isDistinct, 'a strategy is listed twice; list each once')
    .default(['FedAvg'])
    .describe('Strategies of jobs that are accepted.'),
  metrics: z
    .array(z.enum(METRIC_NAMES))
    .refine(isDistinct, 'a metric is listed twice; list each once')
    .default([])
    .describe('Metrics that may leave the site, besides the loss; a job that asks for others is refused.'),
  metricsPerSite: z
    .boolean()
    .default(false)
    .describe(
      'Whether the metrics of this site alone may be recorded under its name, for operators and the other sites of the job.',
    ),
  metricDigits: z
    .int()
    .min(1)
    .max(17)
    .optional()
    .describe(
      'Significant digits to which losses, metrics and their variances are rounded before they leave; without it not at all.',
    ),
  retriesPerBase: z
    .int()
    .min(0)
    .max(LIMITS.roundRetries)
    .default(1)
    .describe('Trainings on the same base model beyond the first, after failed rounds.'),
  schedule: scheduleSchema
    .optional()
    .describe(
      'Windows in which trainings may begin; without it always. A round that opens outside waits for the next one.',
    ),
  compute: computeSchema.prefault({}).describe('What a training may take of the machine.'),
  approval: approvalSchema
    .prefault({ type: 'Automatic' })
    .describe(
      'Automatic: what the rules allow is done. Manual: a job waits until `tributary-agent approve` has signed it.',
    ),
  serving: z
    .strictObject({
      models: z
        .array(nameSchema)
        .max(1_000)
        .refine(isDistinct, 'a model is listed twice; list each once')
        .describe('Models whose rollouts are followed, by name; empty follows none.'),
    })
    .optional()
    .describe('What the site serves to its own devices; without it no rollout is followed.'),
});

/** The rules of a site, in a file at the site. Default deny: what it does not name is refused. */
export const sitePolicySchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('SitePolicy'),
  metadata: metadataSchema,
  spec: sitePolicySpecSchema,
});

export type SitePolicy = z.output<typeof sitePolicySchema>;
export type SitePolicySpec = SitePolicy['spec'];
export type SitePolicyInput = z.input<typeof sitePolicySchema>;
/** What a site demands of membership. */
export type FederationRule = NonNullable<SitePolicySpec['federation']>;
/** What a site allows of one dataset, and on which terms. */
export type DatasetRule = SitePolicySpec['datasets'][number];
