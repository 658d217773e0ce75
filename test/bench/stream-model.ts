import { parseStreamPipeline, type StreamPipeline } from '@tributary/proto';
import { ModelDirectory } from '@tributary/edge-agent/internal/adapters/models/model-directory.js';

import { newModel, registeredModel } from '../support/served-model.js';
import { trainingSpec } from '../support/training-job.js';
import { TRAIN_MODELS } from './train-models.js';

/** Columns of a record, and categories of each: one-hot, with one for the unknown, they are the 784 inputs of the MLP. */
export const COLUMNS = 14;
export const CATEGORIES = 55;
/** Time of the first record; each is a millisecond after the one before, so that results name the record that they answer. */
export const FIRST_MS = 1_700_000_000_000;
/** Streams that the records belong to. */
export const DEVICES = 64;
/** Versions of each model, which differ in their weights. */
export const VERSIONS = [1, 2] as const;

const API = { apiVersion: 'tributary.dev/v1alpha1', kind: 'StreamPipeline' } as const;
const softmax = <T extends object>(layers: readonly T[]): readonly T[] =>
  layers.map((layer, index) => (index === layers.length - 1 ? { ...layer, activation: 'Softmax' } : layer));

/** The MLP of the train bench on records of 14 columns. */
const records = trainingSpec({
  task: { type: 'MultiClass', classes: Array.from({ length: 10 }, (_, index) => `c${String(index)}`) },
  features: Array.from({ length: COLUMNS }, (_, index) => ({
    name: `f${String(index)}`,
    type: 'Categorical',
    categories: Array.from({ length: CATEGORIES }, (__, category) => String(category)),
  })),
  model: { name: 'records', layers: [...softmax(TRAIN_MODELS.mlp.layers)], seed: 5 },
  evaluation: { metrics: ['accuracy'] },
});

/** The convolutions of the train bench on the samples around a heart beat. */
const beats = trainingSpec({
  task: { type: 'MultiClass', classes: ['n', 's', 'v', 'f', 'q'] },
  features: [{ name: 'beat', type: 'Sequence', length: 256, center: 1024, scale: 200 }],
  model: { name: 'beats', layers: [...softmax(TRAIN_MODELS.ecg.layers)], seed: 5 },
  evaluation: { metrics: ['accuracy'] },
});

/** Puts both models into the store of an agent, version 1 to answer. */
export async function putModels(modelsDir: string): Promise<void> {
  const store = await ModelDirectory.open(modelsDir);
  for (const [name, spec] of Object.entries({ records, beats })) {
    for (const version of VERSIONS) await store.put(newModel(registeredModel({ name, spec, version })));
    await store.point(name, { current: 1 });
  }
}

/** One result for each record. */
export const recordPipeline: StreamPipeline = parseStreamPipeline({
  ...API,
  metadata: { name: 'records' },
  spec: {
    model: { name: 'records', output: 'c1' },
    source: { broker: 'local', topics: ['bench/in/{device}'] },
    payload: {
      type: 'Json',
      columns: Object.fromEntries(
        Array.from({ length: COLUMNS }, (_, index) => [`f${String(index)}`, `f${String(index)}`]),
      ),
      time: { type: 'Path', path: 't' },
    },
    key: '{device}',
    result: { topic: 'bench/out/{device}' },
  },
});

/** Beats around R peaks of a lead with 360 samples a second. */
export const beatPipeline: StreamPipeline = parseStreamPipeline({
  ...API,
  metadata: { name: 'beats' },
  spec: {
    model: { name: 'beats', output: 'v' },
    source: { broker: 'local', topics: ['bench/ecg/{bed}/{start}'] },
    payload: {
      type: 'Samples',
      encoding: 'U16Le',
      channels: ['lead'],
      rateHz: 360,
      time: { type: 'Capture', capture: 'start' },
    },
    key: '{bed}',
    window: {
      type: 'Event',
      trigger: { type: 'RPeak', column: 'lead', beforeMs: 250, afterMs: 450 },
      reduce: [{ column: 'beat', from: 'lead', function: 'Series' }],
    },
    result: { topic: 'bench/beat/{bed}' },
  },
});
