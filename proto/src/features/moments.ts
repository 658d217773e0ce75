import { columnsOf, type FeatureSpec, type ScaledFeatureSpec } from '../documents/feature-spec.js';
import type { CellIssue, Row } from './cell.js';
import { scaledBy, type FeatureFit, type Scaling } from './fit.js';
import { isIssue, scalarReader, sequenceReader, tableBounds } from './reading.js';
import { TABLE_COLUMNS } from './statistics.js';

/**
 * Mean and variance of weighted values in one pass (Welford, Technometrics 4, 1962; with weights West, CACM 22, 1979):
 * nothing cancels, whatever the values have in common.
 */
export class Moments {
  #weight = 0;
  #mean = 0;
  #squares = 0;

  /** `weight` is above 0. */
  add(value: number, weight = 1): void {
    this.#weight += weight;
    const delta = value - this.#mean;
    this.#mean += (delta * weight) / this.#weight;
    this.#squares += weight * delta * (value - this.#mean);
  }

  /** Sum of the weights. */
  get weight(): number {
    return this.#weight;
  }

  /** 0 without values. */
  get mean(): number {
    return this.#mean;
  }

  /** Of the values themselves, not of a population that they are drawn from; 0 without values. */
  get variance(): number {
    return this.#weight === 0 ? 0 : this.#squares / this.#weight;
  }
}

/**
 * Rows with a share above 0, below 1, and between. The author of a job chooses the bounds: where few rows stand on one
 * side of the rest, or alone between bounds that enclose one value, the sums of the table would tell what those hold.
 */
class Places {
  #above = 0;
  #below = 0;
  #between = 0;

  /** Shares of one row. */
  add(shares: readonly number[]): void {
    if (shares.some((share) => share > 0)) this.#above += 1;
    if (shares.some((share) => share < 1)) this.#below += 1;
    if (shares.some((share) => share > 0 && share < 1)) this.#between += 1;
  }

  tellable(minCount: number): boolean {
    return [this.#above, this.#below, this.#between].every((rows) => rows === 0 || rows >= minCount);
  }
}

/** What a pass over the training rows of one site gave. */
export interface SiteStatistics {
  /** Rows. */
  readonly examples: number;
  /** Center and scale of the features that each site scales for itself; they stay there. */
  readonly fit: FeatureFit;
  /** Features scaled by all sites times TABLE_COLUMNS, row-major: what the site tells of them. */
  readonly table: Float32Array;
}

interface Observation {
  readonly feature: ScaledFeatureSpec;
  readonly moments: Moments;
  readonly places?: Places;
  /** Values of a row that count: after the transform, or within the bounds of the table. */
  readonly values: (row: Row) => readonly number[] | CellIssue;
}

/**
 * Collects what the features of a job learn from the training rows of one site. A row counts once in each feature,
 * however many elements its sequence has.
 */
export class FeatureStatistics {
  readonly #site: readonly Observation[];
  readonly #federated: readonly (Observation & { readonly places: Places })[];
  #examples = 0;

  constructor(features: readonly FeatureSpec[]) {
    this.#site = scaledBy(features, 'Site').map((feature) => observe(feature, (value) => value));
    this.#federated = scaledBy(features, 'Federated').map((feature) => ({
      ...observe(feature, shareOf(feature)),
      places: new Places(),
    }));
  }

  /** Columns that are read. */
  get columns(): readonly string[] {
    return [...this.#site, ...this.#federated].flatMap(({ feature }) => columnsOf(feature));
  }

  /** Takes a training row; returns the first cell that could not be read. */
  add(row: Row): CellIssue | undefined {
    this.#examples += 1;
    let first: CellIssue | undefined;
    for (const { moments, values, places } of [...this.#site, ...this.#federated]) {
      const found = values(row);
      if ('reason' in found) first ??= found;
      else {
        for (const value of found) moments.add(value, 1 / found.length);
        places?.add(found);
      }
    }
    return first;
  }

  /** `minCount`: rows below which nothing is told of a feature, nor of any part of its values that the bounds cut off. */
  finish(minCount: number): SiteStatistics {
    const fit = this.#site.map(({ feature, moments }) => [feature.name, scalingOfMoments(moments)] as const);
    const table = new Float32Array(this.#federated.length * TABLE_COLUMNS);
    for (const [index, { moments, places }] of this.#federated.entries())
      if (places.tellable(minCount))
        table.set(tableRow(moments, this.#examples, minCount), index * TABLE_COLUMNS);
    return { examples: this.#examples, fit: Object.fromEntries(fit), table };
  }
}

function observe(feature: ScaledFeatureSpec, share: (value: number) => number): Observation {
  const moments = new Moments();
  if (feature.type !== 'Sequence') {
    const read = scalarReader(feature);
    const values = (row: Row): readonly number[] | CellIssue => {
      const reading = read(row);
      return isIssue(reading) ? reading : reading === undefined ? [] : [share(reading)];
    };
    return { feature, moments, values };
  }
  const read = sequenceReader(feature);
  const values = (row: Row): readonly number[] | CellIssue => {
    const reading = read(row);
    return isIssue(reading)
      ? reading
      : reading.flatMap((value) => (value === undefined ? [] : [share(value)]));
  };
  return { feature, moments, values };
}

/** Where a value lies between the bounds of its feature, after the transform: 0 to 1. */
function shareOf(feature: ScaledFeatureSpec): (value: number) => number {
  const { low, high } = tableBounds(feature);
  return (value) => (Math.min(high, Math.max(low, value)) - low) / (high - low);
}

function scalingOfMoments({ mean, variance }: Moments): Scaling {
  const deviation = Math.sqrt(variance);
  // A constant column is centred and not scaled; values near the end of float64 have no variance that is finite.
  return {
    center: Number.isFinite(mean) ? mean : 0,
    scale: Number.isFinite(deviation) && deviation > 0 ? deviation : 1,
  };
}

/**
 * Present fraction, and mean and mean square over all rows of what is present: sums over sites stay exact means. Fewer
 * missing rows than `minCount` count as rows like the others: which cells are missing is up to the author of the job.
 */
function tableRow(moments: Moments, examples: number, minCount: number): readonly number[] {
  // A row's share of a weight may round: ten elements of a tenth are not always 1.
  const present = Math.round(moments.weight);
  if (present === 0 || present < minCount) return [0, 0, 0];
  const fraction = examples - present < minCount ? 1 : present / examples;
  const { mean, variance } = moments;
  return [fraction, fraction * mean, fraction * (variance + mean * mean)];
}
