import { z } from 'zod';

import { featureSchema, type FeatureSpec } from '../documents/feature-spec.js';
import { problemError } from '../documents/problem.js';
import { schemaNodeOf } from '../documents/schema-node.js';
import { schemaProblems } from '../documents/schema-problem.js';
import { requireFormat } from '../versions.js';
import { featureFitSchema, NO_FIT, type FeatureFit } from './fit.js';

/** Version of `features.json`. Version 1 knew no fit. */
export const FEATURES_VERSION = 2;

/** `features.json` beside an exported model: what compileFeatures needs to feed it. */
export type FeaturesFile = {
  readonly formatVersion: typeof FEATURES_VERSION;
  readonly features: readonly FeatureSpec[];
  /**
   * What the pipeline learned from all sites. Features scaled by each site are not in it, nor vocabularies: where the
   * model is served, they come from the site.
   */
  readonly fit: FeatureFit;
};

const features = z.array(featureSchema).min(1);
const versions = {
  1: z.strictObject({ formatVersion: z.literal(1), features }),
  [FEATURES_VERSION]: z.strictObject({
    formatVersion: z.literal(FEATURES_VERSION),
    features,
    fit: featureFitSchema,
  }),
} as const;

export function featuresFile(features: readonly FeatureSpec[], fit: FeatureFit = NO_FIT): FeaturesFile {
  return { formatVersion: FEATURES_VERSION, features, fit };
}

/** Reads the value of a `features.json`. Throws FORMAT_UNSUPPORTED for a newer version, DOCUMENT_INVALID otherwise. */
export function parseFeaturesFile(value: unknown): FeaturesFile {
  const version = (value as { readonly formatVersion?: unknown } | null | undefined)?.formatVersion;
  requireFormat(version, 'features.json', FEATURES_VERSION);
  const schema = versions[version === 1 ? 1 : FEATURES_VERSION];
  const parsed = schema.safeParse(value);
  if (parsed.success) return { fit: NO_FIT, ...parsed.data, formatVersion: FEATURES_VERSION };
  // Features are described by their own schema; a fit is not written by people.
  const node = schemaNodeOf(z.strictObject({ formatVersion: z.literal(1), features }));
  throw problemError('DOCUMENT_INVALID', schemaProblems(parsed.error.issues, node, value));
}
