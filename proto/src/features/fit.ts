import { z } from 'zod';

import { canonicalize } from '../canonical-json.js';
import type { FeatureSpec, ScaledFeatureSpec } from '../documents/feature-spec.js';
import { cellTextSchema } from '../documents/metadata.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { Digest } from '../ids.js';
import { digestOf } from '../signing/hash.js';

/** What is subtracted from a value, and what the rest is divided by: in units of the transform, scale above 0. */
const scalingSchema = z.strictObject({ center: z.number(), scale: z.number().gt(0) });

/** The entries of a vocabulary, in the order of their inputs. */
const entriesSchema = z.strictObject({ categories: z.array(cellTextSchema).min(1) });

/** What a pipeline learned or was told besides the job document, by the names of its features. */
export const featureFitSchema = z.record(cellTextSchema, z.union([scalingSchema, entriesSchema]));

export type Scaling = Readonly<z.output<typeof scalingSchema>>;
export type FeatureFit = Readonly<
  Record<string, z.output<typeof scalingSchema> | z.output<typeof entriesSchema>>
>;

/** A list of categories that sites agreed on, as their policies hold it. */
export interface Vocabulary {
  readonly name: string;
  readonly values: readonly string[];
}

/** What a fit consists of: nothing, for a job that gives every number itself. */
export const NO_FIT: FeatureFit = Object.freeze({});

/** Center and scale of a feature, from the job or the fit; undefined where the fit lacks them. */
export function scalingOf(feature: ScaledFeatureSpec, fit: FeatureFit): Scaling | undefined {
  if (feature.scaling === 'Given') return { center: feature.center ?? 0, scale: feature.scale ?? 1 };
  const fitted = Object.hasOwn(fit, feature.name) ? fit[feature.name] : undefined;
  return fitted !== undefined && 'scale' in fitted ? fitted : undefined;
}

/** Features whose numbers come from data, in order. */
export function scaledBy(
  features: readonly FeatureSpec[],
  scaling: 'Site' | 'Federated',
): readonly ScaledFeatureSpec[] {
  return features.filter(
    (feature): feature is ScaledFeatureSpec => feature.type !== 'Categorical' && feature.scaling === scaling,
  );
}

/** What a job names its vocabulary by. */
export function vocabularyDigest(values: readonly string[]): Digest {
  return digestOf(canonicalize(values));
}

/**
 * The fit of the features that take their categories from a vocabulary. Throws POLICY_REFUSED, naming the vocabulary,
 * where `vocabularies` lacks it or holds another list than the job names by its digest.
 */
export function fitVocabularies(
  features: readonly FeatureSpec[],
  vocabularies: readonly Vocabulary[],
): FeatureFit {
  return Object.fromEntries(
    features.flatMap((feature) => {
      if (feature.type !== 'Categorical' || feature.vocabulary === undefined) return [];
      const { name, digest, size } = feature.vocabulary;
      const values = vocabularies.find((known) => known.name === name)?.values;
      if (values === undefined) throw refused(`the site has no vocabulary ${name}`);
      if (values.length !== size || vocabularyDigest(values) !== digest)
        throw refused(`vocabulary ${name} of the site is another list than that of the job`);
      return [[feature.name, { categories: [...values] }]];
    }),
  );
}

const refused = (detail: string): TributaryError => new TributaryError('POLICY_REFUSED', detail);
