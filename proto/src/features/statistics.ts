import type { FeatureSpec } from '../documents/feature-spec.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { Digest } from '../ids.js';
import { float32ToBytes } from '../parameters/float32-bytes.js';
import { buildLayout, type Layout } from '../parameters/layout.js';
import { digestOf } from '../signing/hash.js';
import { scaledBy, type FeatureFit, type Scaling } from './fit.js';
import { tableBounds } from './reading.js';

/*
 * Round 0 of a job whose features are scaled by all sites: its "model" is a table of zeros, its update what a site tells
 * of each such feature, and its result the mean over the sites, weighted by training rows as in any other round.
 */

/** Of a feature: the fraction of rows in which it is present, and the means over all rows of u and of u^2, u in [0, 1]. */
export const TABLE_COLUMNS = 3;

/** Whether a job begins with a round of statistics. */
export function needsStatistics({ features }: { readonly features: readonly FeatureSpec[] }): boolean {
  return scaledBy(features, 'Federated').length > 0;
}

/** Layout of the table: features scaled by all sites, in order, times TABLE_COLUMNS. */
export function statisticsLayout(features: readonly FeatureSpec[]): Layout {
  const rows = scaledBy(features, 'Federated').length;
  return buildLayout([{ name: 'statistics', shape: [rows, TABLE_COLUMNS] }]);
}

/** The base of the round: nothing is known. */
export function emptyStatistics(features: readonly FeatureSpec[]): Float32Array {
  return new Float32Array(statisticsLayout(features).length);
}

export function emptyStatisticsDigest(features: readonly FeatureSpec[]): Digest {
  return digestOf(float32ToBytes(emptyStatistics(features)));
}

/** Largest L2 norm of a table: every element lies in [0, 1], and float32 rounds. */
export function statisticsNorm(features: readonly FeatureSpec[]): number {
  return Math.ceil(Math.sqrt(statisticsLayout(features).length)) + 1;
}

/**
 * The fit that a committed table makes; the same bits wherever it is computed. Throws INVALID_ARGUMENT for a table of
 * another length, or with values that no sum of updates gives.
 */
export function fitOfStatistics(features: readonly FeatureSpec[], table: Float32Array): FeatureFit {
  const scaled = scaledBy(features, 'Federated');
  if (table.length !== scaled.length * TABLE_COLUMNS || !table.every(Number.isFinite))
    throw new TributaryError('INVALID_ARGUMENT', 'the statistics are not those of the features of the job');
  return Object.fromEntries(
    scaled.map((feature, index) => {
      const [present = 0, mean = 0, square = 0] = table.subarray(index * TABLE_COLUMNS);
      const { low, high } = tableBounds(feature);
      const share = present > 0 ? scalingOfShares(mean / present, square / present) : UNKNOWN;
      return [feature.name, { center: low + (high - low) * share.center, scale: (high - low) * share.scale }];
    }),
  );
}

/** No site has told anything: values between the bounds encode as -1 to 1. */
const UNKNOWN: Scaling = { center: 0.5, scale: 0.5 };

/** A difference of two float32 means has no digits below this part of them. */
const RESOLUTION = 2 ** -21;

/** Center and standard deviation of values in [0, 1] by their mean and mean square. */
function scalingOfShares(mean: number, square: number): Scaling {
  const center = Math.min(1, Math.max(0, mean));
  const floor = square * RESOLUTION;
  const variance = Math.max(square - center * center, floor);
  return { center, scale: variance > 0 ? Math.sqrt(variance) : 1 };
}
