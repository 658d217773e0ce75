import { z } from 'zod';

import { featureSchema, type FeatureSpec } from '../documents/feature-spec.js';
import { problemError } from '../documents/problem.js';
import { schemaNodeOf } from '../documents/schema-node.js';
import { schemaProblems } from '../documents/schema-problem.js';
import { requireFormat } from '../versions.js';

/** Version of `features.json`. */
export const FEATURES_VERSION = 1;

/** `features.json` beside an exported model: what compileFeatures needs to feed it. */
export type FeaturesFile = {
  readonly formatVersion: typeof FEATURES_VERSION;
  readonly features: readonly FeatureSpec[];
};

const fileSchema = z.strictObject({
  formatVersion: z.literal(FEATURES_VERSION),
  features: z.array(featureSchema).min(1),
});

export function featuresFile(features: readonly FeatureSpec[]): FeaturesFile {
  return { formatVersion: FEATURES_VERSION, features };
}

/** Reads the value of a `features.json`. Throws FORMAT_UNSUPPORTED for a newer version, DOCUMENT_INVALID otherwise. */
export function parseFeaturesFile(value: unknown): FeaturesFile {
  const version = (value as { readonly formatVersion?: unknown } | null | undefined)?.formatVersion;
  requireFormat(version, 'features.json', FEATURES_VERSION);
  const parsed = fileSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw problemError(
    'DOCUMENT_INVALID',
    schemaProblems(parsed.error.issues, schemaNodeOf(fileSchema), value),
  );
}
