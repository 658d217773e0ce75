import { z } from 'zod';

import { API_VERSION, metadataSchema, nameSchema } from './metadata.js';
import type { Problem } from './problem.js';
import { siteSelectorSchema } from './round-spec.js';

/** Steps that one document may hold; far more than anybody watches. */
const MOST_STEPS = 16;
/** Share of the streams that a version answers once its rollout is through. */
const WHOLE = 100;

const stepSchema = z.strictObject({
  version: z.int().min(1).max(1_000_000).describe('Registered version of the model, from 1.'),
  weight: z
    .int()
    .min(0)
    .max(WHOLE)
    .default(WHOLE)
    .describe('Percentage that this version answers, 0 to 100. This version of the software serves 100.'),
});

/** Which version of a model the selected sites serve. The name of the object is that of the model. */
export const modelRolloutSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('ModelRollout'),
  metadata: metadataSchema,
  spec: z.strictObject({
    model: nameSchema.describe('The model; also metadata.name.'),
    siteSelector: siteSelectorSchema.prefault({}).describe('Which sites serve it.'),
    steps: z
      .array(stepSchema)
      .min(1)
      .max(MOST_STEPS)
      .describe('Versions in the order in which they are introduced; one, for the time being.'),
  }),
});

export type ModelRollout = z.output<typeof modelRolloutSchema>;
export type ModelRolloutInput = z.input<typeof modelRolloutSchema>;
export type ModelRolloutSpec = ModelRollout['spec'];

/** What the schema of a field cannot see: one object per model. */
export function rolloutProblems({ metadata, spec }: ModelRollout): Problem[] {
  if (metadata.name === spec.model) return [];
  const what = 'is not the name of the rollout';
  return [{ path: ['spec', 'model'], what, fix: 'give spec.model and metadata.name the same name' }];
}

/** Parts of a rollout that this version does not serve: shares, and versions after the first. */
export function unservedSteps({ spec }: ModelRollout): Problem[] {
  const [first, ...others] = spec.steps;
  const problems: Problem[] = others.map((_, index) => ({
    path: ['spec', 'steps', index + 1],
    what: 'more than one step is not served by this version',
    fix: 'apply one step after the other',
  }));
  if (first !== undefined && first.weight !== WHOLE)
    problems.unshift({
      path: ['spec', 'steps', 0, 'weight'],
      what: 'another share than 100 is not served by this version',
      fix: 'leave it out',
    });
  return problems;
}

/** The version that a rollout ends with: that of its last step. */
export function rolloutVersion({ steps }: ModelRolloutSpec): number {
  return steps.at(-1)?.version ?? 0;
}
