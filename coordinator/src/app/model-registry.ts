import {
  compileFeatures,
  digestOf,
  encodeBase64,
  encodeManifest,
  fitOfStatistics,
  labelScaling,
  layoutDigest,
  layoutOf,
  NO_FIT,
  signManifest,
  statisticsLayout,
  TributaryError,
  WeightsDecoder,
  type Digest,
  type FeatureFit,
  type FederatedJobSpec,
} from '@tributary/proto';

import type { JobState } from '../domain/federation-state.js';
import { lossOf } from '../domain/job-evolution.js';
import { measurementOf } from '../domain/rounds/next-round.js';
import type { BlobStore, Clock, Signer } from '../ports.js';
import type { Federation } from './federation.js';

export interface RegistryParts {
  readonly federation: Federation;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** Key of model manifests. */
  readonly modelSigner: Signer;
}

/** Turns the result of a job into a signed model version. */
export class ModelRegistry {
  readonly #parts: RegistryParts;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
  }

  /** Stores and signs the manifest of the job's newest model, then records it as `version` of its model. */
  async register(job: JobState, version: number): Promise<void> {
    const { base } = job;
    if (base === undefined) throw new TributaryError('INTERNAL', 'a job without a model cannot register one');
    const { federation, blobs, clock, modelSigner } = this.#parts;
    const { spec } = job.document;
    const inputShape = compileFeatures(spec.features).shape;
    const layout = layoutOf(spec.model.layers, inputShape);
    const scaling = labelScaling(spec.task);
    if (layoutDigest(layout) !== base.layoutDigest)
      throw new TributaryError('INTERNAL', 'the layout of the job has changed');
    const now = clock.now();
    const manifest = encodeManifest({
      name: spec.model.name,
      version,
      jobId: job.jobId,
      jobName: job.name,
      rounds: job.committedRounds,
      weightsDigest: base.modelDigest,
      layoutDigest: base.layoutDigest,
      layout,
      topology: { inputShape: [...inputShape], layers: [...spec.model.layers] },
      fit: await this.#fit(job),
      features: [...spec.features],
      outputs: [spec.dataset.label, ...outputNames(spec)],
      ...(scaling === undefined ? {} : { labelScaling: { ...scaling } }),
      lineage: await this.#lineage(job, base.initialDigest),
      metrics: { ...(measurementOf(job) === undefined ? lossOf(job) : job.metrics) },
      createdAt: new Date(now).toISOString(),
    });
    const { digest } = await blobs.put([manifest]);
    await federation.execute({
      kind: 'register-model',
      now,
      actor: 'coordinator',
      jobId: job.jobId,
      version,
      manifestDigest: digest,
      weightsDigest: base.modelDigest,
      signature: encodeBase64(signManifest(digest, modelSigner)),
    });
  }

  /** What the features learned from all sites; the digest is compared at the end of the blob. */
  async #fit({ document, statisticsDigest }: JobState): Promise<FeatureFit> {
    if (statisticsDigest === undefined) return NO_FIT;
    const { features } = document.spec;
    const decoder = new WeightsDecoder(statisticsLayout(features));
    for await (const chunk of this.#parts.blobs.read(statisticsDigest)) decoder.push(chunk);
    return fitOfStatistics(features, decoder.finish());
  }

  async #lineage(
    job: JobState,
    baseDigest: Digest,
  ): Promise<Parameters<typeof encodeManifest>[0]['lineage']> {
    const rounds = job.history.flatMap(({ round, kind, closedSeq, modelDigest }) =>
      modelDigest === undefined || kind === 'Evaluation' ? [] : [{ round, seq: closedSeq, modelDigest }],
    );
    const measuredSeq = measurementOf(job)?.closedSeq;
    return {
      baseDigest,
      rounds,
      ...(measuredSeq === undefined ? {} : { measuredSeq }),
      sites: [...job.contributors],
      ...(await this.#dataVersions(job)),
      documentDigest: await this.#documentDigest(job),
    };
  }

  /** What the sites of the last round of training said of the rows that they trained on. */
  async #dataVersions(job: JobState): Promise<{ dataVersions?: Record<string, string> }> {
    const last = job.history.findLast(
      ({ kind, modelDigest }) => kind === undefined && modelDigest !== undefined,
    );
    if (last === undefined) return {};
    const versions: Record<string, string> = {};
    const { openedSeq, closedSeq, round, attempt } = last;
    for await (const { entry } of this.#parts.federation.entries(openedSeq, closedSeq + 1)) {
      if (entry.type !== 'update.accepted') continue;
      const { body } = entry;
      const ours = body.jobId === job.jobId && body.round === round && body.attempt === attempt;
      if (ours && body.dataVersion !== undefined) versions[body.site] = body.dataVersion;
    }
    return Object.keys(versions).length === 0 ? {} : { dataVersions: versions };
  }

  /** Digest of the document exactly as its author signed it; the state holds it with defaults filled in. */
  async #documentDigest({ submittedSeq }: JobState): Promise<Digest> {
    for await (const { entry } of this.#parts.federation.entries(submittedSeq, submittedSeq + 1)) {
      if (entry.type === 'job.submitted') return digestOf(new TextEncoder().encode(entry.body.document));
    }
    throw new TributaryError('STORE_CORRUPT', 'the ledger does not hold the submission of a job');
  }
}

/** Names of the model's outputs: the positive value, the classes, or the number itself. */
function outputNames({ task, dataset }: FederatedJobSpec): readonly string[] {
  switch (task.type) {
    case 'Binary':
      return [task.positive];
    case 'MultiClass':
      return task.classes;
    case 'Regression':
      return [dataset.label];
  }
}
