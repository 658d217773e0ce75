import {
  digestSchema,
  featureFitSchema,
  fitOfStatistics,
  needsStatistics,
  NO_FIT,
  scaledBy,
  statisticsLayout,
  type FeatureFit,
  type SiteStatistics,
} from '@tributary/proto';
import { z } from 'zod';

import { joinFits } from '../domain/feature-fit.js';
import type { OpenedRound } from '../domain/order.js';
import type { SiteFit } from './site-fits.js';
import type { DatasetHandle, RowStatistics, StateStore, TrainingResult } from '../ports.js';
import { downloadVector, type DownloadParts } from './base-model.js';
import { decodeRecord, encodeRecord, readRecord } from './records.js';

export interface FeatureFitsParts extends DownloadParts {
  readonly store: StateStore;
  readonly statistics: RowStatistics;
}

const FITS = 'fit/';

/** What the site remembers of a job, so that every round encodes its rows alike. */
const recordSchema = z.strictObject({
  /** Of the features that the site scales for itself; it never leaves. */
  site: featureFitSchema.optional(),
  /** Of the features that all sites scale, and the table that it was made of. */
  federated: z
    .strictObject({
      digest: digestSchema,
      fit: featureFitSchema,
    })
    .optional(),
});

type FitRecord = z.output<typeof recordSchema>;

/** What the site scaled for itself when a job trained here: rows for its model are encoded alike. */
export async function siteFitOf(store: StateStore, jobId: string): Promise<FeatureFit | undefined> {
  return (await readRecord(store, FITS + jobId, recordSchema))?.site;
}

/** All that the site scaled for itself, by job. */
export async function siteFitsOf(store: StateStore): Promise<readonly SiteFit[]> {
  const found: SiteFit[] = [];
  for await (const { key, value } of store.list(FITS)) {
    const { site: fit } = decodeRecord(key, value, recordSchema);
    if (fit !== undefined && Object.keys(fit).length > 0) found.push({ jobId: key.slice(FITS.length), fit });
  }
  return found;
}

/** Learns what the features of a job need to know, once a job, and remembers it. */
export class FeatureFits {
  readonly #parts: FeatureFitsParts;

  constructor(parts: FeatureFitsParts) {
    this.#parts = parts;
  }

  /** The fit of a round of training. Rejects with DATASET_*, POLICY_REFUSED, PROOF_INVALID, UNAVAILABLE. */
  async fitOf(round: OpenedRound, dataset: DatasetHandle, signal: AbortSignal): Promise<FeatureFit> {
    const { spec } = round.job;
    const record = await this.#read(round.jobId);
    const site = record.site ?? (await this.#learn(round, dataset, signal));
    const federated = await this.#federated(round, signal);
    return joinFits(spec, { vocabularies: dataset.vocabularies, site, federated });
  }

  /**
   * What the site tells in a round of statistics: a table in the place of a delta. A site that is held out tells
   * nothing.
   */
  async answer(round: OpenedRound, dataset: DatasetHandle, signal: AbortSignal): Promise<TrainingResult> {
    const told = { loss: 0, metrics: {}, testExamples: 0 };
    if (round.heldOut) return { ...told, delta: new Float32Array(round.layout.length), examples: 0 };
    const { table, examples } = await this.#collect(round, dataset, signal);
    return { ...told, delta: table, examples };
  }

  /** The fit of the site itself: of its training rows when the job first ran here. */
  async #learn(round: OpenedRound, dataset: DatasetHandle, signal: AbortSignal): Promise<FeatureFit> {
    if (scaledBy(round.job.spec.features, 'Site').length === 0) return NO_FIT;
    return (await this.#collect(round, dataset, signal)).fit;
  }

  /** One pass over the rows serves the table and the site's own fit, unless that is known. */
  async #collect(
    { jobId, job: { spec } }: OpenedRound,
    dataset: DatasetHandle,
    signal: AbortSignal,
  ): Promise<SiteStatistics> {
    const found = await this.#parts.statistics.collect({ spec, dataset, signal });
    const record = await this.#read(jobId);
    if (record.site === undefined) await this.#write(jobId, { ...record, site: found.fit });
    return found;
  }

  async #federated({ jobId, job, opened }: OpenedRound, signal: AbortSignal): Promise<FeatureFit> {
    const { features } = job.spec;
    const { statisticsDigest: digest, round } = opened;
    if (!needsStatistics(job.spec) || digest === undefined) return NO_FIT;
    const record = await this.#read(jobId);
    if (record.federated?.digest === digest) return record.federated.fit;
    const wanted = { jobId, round, digest, layout: statisticsLayout(features) };
    const fit = fitOfStatistics(features, await downloadVector(this.#parts, wanted, signal));
    await this.#write(jobId, { ...record, federated: { digest, fit } });
    return fit;
  }

  async #read(jobId: string): Promise<FitRecord> {
    return (await readRecord(this.#parts.store, FITS + jobId, recordSchema)) ?? {};
  }

  async #write(jobId: string, { site, federated }: FitRecord): Promise<void> {
    const fields = { ...(site && { site }), ...(federated && { federated }) };
    await this.#parts.store.put({ [FITS + jobId]: encodeRecord(fields) });
  }
}
