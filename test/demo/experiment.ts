import type { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';
import { jobColumns } from '@tributary/edge-agent/internal/domain/datasets/job-columns.js';
import type { Predictions } from '@tributary/edge-agent/internal/domain/metrics/predictions.js';
import type { DatasetHandle } from '@tributary/edge-agent/internal/ports.js';
import {
  compileFeatures,
  initialWeights,
  layoutOf,
  type Cell,
  type FederatedJobSpec,
} from '@tributary/proto';

import { rowsOf } from '../support/dataset-rows.js';
import { datasetHandle } from '../support/training-job.js';

/** The dataset in one CSV file, read through the site's SQL where it has some, as an agent would hand it to its trainer. */
export function datasetAt(name: string, path: string, view?: string): DatasetHandle {
  const handle = datasetHandle(path);
  return { ...handle, name, declaration: { ...handle.declaration, ...(view !== undefined && { view }) } };
}

/**
 * Trains on one dataset what a federation would: the same model, initial weights, features, regularisation and trainer,
 * and as many passes (rounds x epochs), the optimizer starting anew in every round. Returns the final weights.
 */
export async function trainAlone(
  trainer: WorkerTrainer,
  spec: FederatedJobSpec,
  dataset: DatasetHandle,
): Promise<Float32Array> {
  const { layout, initial } = startOf(spec);
  const { signal } = new AbortController();
  const events = { progress: () => undefined };
  const weights = initial;
  for (let round = 1; round <= spec.rounds; round += 1) {
    const task = { jobId: 'job-alone', round, spec, layout, weights: weights.slice(), dataset, signal };
    const { delta } = await trainer.train(task, events);
    for (const [index, change] of delta.entries()) weights[index] = (weights[index] ?? 0) + change;
  }
  return weights;
}

/** Scores and labels of the test split of `dataset` under `weights`. */
export function predictTest(
  trainer: WorkerTrainer,
  spec: FederatedJobSpec,
  dataset: DatasetHandle,
  weights: Float32Array,
): Promise<Predictions> {
  const { layout } = startOf(spec);
  return trainer.predict({ jobId: 'job-alone', spec, layout, weights: weights.slice(), dataset });
}

/**
 * The training rows of several sites in one CSV text: what nobody but the owner of all data could train on. Train on
 * it with {@link withoutTestSplit}; measure on the sites' own test splits.
 */
export async function poolTrainingRows(
  sites: readonly DatasetHandle[],
  spec: FederatedJobSpec,
): Promise<string> {
  const columns = jobColumns(spec);
  const lines = [columns.map(quoted).join(',')];
  for (const site of sites)
    for (const { cells, test } of await rowsOf(site, spec))
      if (!test) lines.push(columns.map((column) => quoted(cells[column])).join(','));
  return `${lines.join('\n')}\n`;
}

const quoted = (cell: Cell): string =>
  typeof cell === 'string' || typeof cell === 'number' ? `"${String(cell).replaceAll('"', '""')}"` : '';

/** The job with every row in training: for a file that holds training rows only. */
export function withoutTestSplit(spec: FederatedJobSpec): FederatedJobSpec {
  return { ...spec, dataset: { ...spec.dataset, testFraction: 0 } };
}

function startOf(spec: FederatedJobSpec) {
  const { shape } = compileFeatures(spec.features);
  const { layers, seed } = spec.model;
  return { layout: layoutOf(layers, shape), initial: initialWeights(layers, shape, seed) };
}
