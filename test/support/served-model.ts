import {
  compileFeatures,
  digestOf,
  encodeManifest,
  float32ToBytes,
  initialWeights,
  layoutDigest,
  layoutOf,
  parseManifest,
  signingKeyFromSeed,
  signManifest,
  type FeatureFit,
  type FederatedJobSpec,
  type ModelManifest,
} from '@tributary/proto';
import type { ModelLoad, NewModel } from '@tributary/edge-agent/internal/serving-ports.js';

import { trainingSpec } from './training-job.js';

/** A registered version as the coordinator makes it, with the weights that `seed` draws. */
export interface RegisteredModel {
  readonly manifest: ModelManifest;
  readonly manifestBytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly modelKey: Uint8Array;
  readonly weights: Float32Array;
}

export interface Registration {
  readonly name?: string;
  readonly version?: number;
  readonly seed?: number;
  readonly spec?: FederatedJobSpec;
  readonly fit?: FeatureFit;
}

const EMPTY = digestOf(new Uint8Array());

export function registeredModel({
  name = 'trial',
  version = 1,
  seed = version,
  spec = trainingSpec(),
  fit = {},
}: Registration = {}): RegisteredModel {
  const { layers } = spec.model;
  const { shape } = compileFeatures(spec.features);
  const layout = layoutOf(layers, shape);
  const weights = initialWeights(layers, shape, seed);
  const outputs = spec.task.type === 'MultiClass' ? spec.task.classes : [outputOf(spec)];
  const manifestBytes = encodeManifest({
    name,
    version,
    jobId: 'job-1',
    jobName: 'trial',
    rounds: 1,
    weightsDigest: digestOf(float32ToBytes(weights)),
    layoutDigest: layoutDigest(layout),
    layout,
    topology: { inputShape: [...shape], layers: [...layers] },
    features: [...spec.features],
    fit,
    outputs: [spec.dataset.label, ...outputs],
    lineage: { baseDigest: EMPTY, rounds: [], sites: ['north'], documentDigest: EMPTY },
    metrics: {},
    createdAt: '2026-01-01T00:00:00.000Z',
  });
  const key = signingKeyFromSeed(new Uint8Array(32).fill(7));
  return {
    manifest: parseManifest(manifestBytes),
    manifestBytes,
    signature: signManifest(digestOf(manifestBytes), key),
    modelKey: key.publicKey,
    weights,
  };
}

const outputOf = ({ task, dataset }: FederatedJobSpec): string =>
  task.type === 'Binary' ? task.positive : dataset.label;

/** What a predictor loads of it. */
export function loadOf({ manifest, weights }: RegisteredModel, parts: Partial<ModelLoad> = {}): ModelLoad {
  return { manifest, weights: () => Promise.resolve(weights), ...parts };
}

/** What a store takes of it. */
export function newModel({ manifestBytes, signature, weights }: RegisteredModel): NewModel {
  const bytes = Uint8Array.from(float32ToBytes(weights));
  return { manifestBytes, signature, weights: [bytes.subarray(0, 10), bytes.subarray(10)] };
}
