import { z } from 'zod';

import { LIMITS } from '../limits.js';
import { featureSchema } from './feature-spec.js';
import { datasetSchema, taskSchema } from './learning-task.js';
import { API_VERSION, metadataSchema } from './metadata.js';
import { modelSchema } from './model-spec.js';
import {
  evaluationSchema,
  modeSchema,
  privacySchema,
  siteSelectorSchema,
  strategySchema,
  updateSchema,
} from './round-spec.js';
import { trainingSchema } from './training-spec.js';

/** Ten years: longer than any job, and far below what a timer or a date can hold. */
const MAX_SECONDS = 315_360_000;

const federatedJobSpecSchema = z.strictObject({
  task: taskSchema.describe(
    'What is learned. The last layer is Dense with 1 unit and Sigmoid (Binary), as many units as classes and Softmax (MultiClass), or 1 unit and Linear (Regression).',
  ),
  dataset: datasetSchema.describe('Which rows of a site are used.'),
  features: z
    .array(featureSchema)
    .min(1)
    .max(2_000)
    .describe('Inputs of the model, in order, 1 to 2000 columns.'),
  model: modelSchema.describe('The network.'),
  training: trainingSchema.describe('What a site does in a round.'),
  siteSelector: siteSelectorSchema.prefault({}).describe('Which sites take part.'),
  rounds: z.int().min(1).max(10_000).describe('Rounds to commit, 1 to 10000.'),
  minSites: z
    .int()
    .min(1)
    .max(LIMITS.updatesPerRound)
    .default(2)
    .describe('Fewest updates with which a round commits, 1 to 4096.'),
  cohortSize: z
    .int()
    .min(0)
    .max(LIMITS.updatesPerRound)
    .default(0)
    .describe('Sites wanted per round, up to 4096; 0 takes every selected site.'),
  overSelection: z
    .number()
    .min(0)
    .max(4)
    .default(0)
    .describe('Sites invited beyond cohortSize, as a fraction of it, 0 to 4: 0.3 invites 13 for 10.'),
  roundDeadlineSeconds: z
    .int()
    .min(1)
    .max(604_800)
    .default(300)
    .describe('Seconds from the opening of a round until it commits or fails, up to a week.'),
  mode: modeSchema.prefault({ type: 'Sync' }).describe('How a round gathers updates.'),
  strategy: strategySchema.prefault({ type: 'FedAvg' }).describe('How updates become the next model.'),
  update: updateSchema.prefault({}).describe('Bounds of the update of one site.'),
  evaluation: evaluationSchema.prefault({}).describe('What is measured at the sites.'),
  privacy: privacySchema.prefault({}).describe('Protection beyond TLS and the envelope.'),
  suspend: z.boolean().default(false).describe('Opens no further round while true. May change after apply.'),
  activeDeadlineSeconds: z
    .int()
    .min(1)
    .max(MAX_SECONDS)
    .default(86_400)
    .describe('Seconds from the start of the job after which it fails. May change after apply.'),
  ttlSecondsAfterFinished: z
    .int()
    .min(0)
    .max(MAX_SECONDS)
    .default(0)
    .describe('Seconds after its end at which the job is deleted; 0 keeps it. May change after apply.'),
});

/** The document that starts a federated training job. Defaults are filled in by parsing; see parseDocument. */
export const federatedJobSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('FederatedJob'),
  metadata: metadataSchema,
  spec: federatedJobSpecSchema,
});

export type FederatedJob = z.output<typeof federatedJobSchema>;
export type FederatedJobSpec = FederatedJob['spec'];
/** A job as an author may write it: fields with a default may be absent. */
export type FederatedJobInput = z.input<typeof federatedJobSchema>;
