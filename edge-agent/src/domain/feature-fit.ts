import {
  fitOfStatistics,
  fitVocabularies,
  scaledBy,
  type FederatedJobSpec,
  type FeatureFit,
  type SiteStatistics,
  type Vocabulary,
} from '@tributary/proto';

/** What a site knows of the fit of a job. */
export interface FitParts {
  /** Of the policy. */
  readonly vocabularies: readonly Vocabulary[];
  /** What each site scales for itself. */
  readonly site?: FeatureFit | undefined;
  /** What all sites scale together. */
  readonly federated?: FeatureFit | undefined;
}

/**
 * The fit by which the rows of this site are encoded. Throws POLICY_REFUSED where a vocabulary is missing or another
 * one than the job names.
 */
export function joinFits({ features }: Pick<FederatedJobSpec, 'features'>, parts: FitParts): FeatureFit {
  return { ...fitVocabularies(features, parts.vocabularies), ...parts.site, ...parts.federated };
}

/** A fit that scales nothing: with it every cell of the features is read, which is all that a check of rows needs. */
export function neutralFit({ features }: Pick<FederatedJobSpec, 'features'>): FeatureFit {
  const scaled = [...scaledBy(features, 'Site'), ...scaledBy(features, 'Federated')];
  return Object.fromEntries(scaled.map(({ name }) => [name, { center: 0, scale: 1 }]));
}

/** The fit of a site that trains alone: its own rows stand for those of all sites. */
export function fitAlone(
  spec: Pick<FederatedJobSpec, 'features'>,
  vocabularies: readonly Vocabulary[],
  { fit, table }: SiteStatistics,
): FeatureFit {
  return joinFits(spec, { vocabularies, site: fit, federated: fitOfStatistics(spec.features, table) });
}
