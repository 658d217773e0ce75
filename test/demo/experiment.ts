import type { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';
import { isTestRow } from '@tributary/edge-agent/internal/domain/datasets/split.js';
import type { Predictions } from '@tributary/edge-agent/internal/domain/metrics/predictions.js';
import type { DatasetHandle } from '@tributary/edge-agent/internal/ports.js';
import { compileFeatures, initialWeights, layoutOf, type FederatedJobSpec } from '@tributary/proto';

import { datasetHandle } from '../support/training-job.js';

/** The dataset in one CSV file, as an agent would hand it to its trainer. */
export function datasetAt(name: string, path: string): DatasetHandle {
  return { ...datasetHandle(path), name };
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
 * it with {@link withoutTestSplit}; measure on the sites' own test splits. The texts share a header and quote no cell.
 */
export function poolTrainingRows(sites: readonly string[], spec: FederatedJobSpec): string {
  const [header = ''] = linesOf(sites[0] ?? '');
  const rows = sites.flatMap((csv) =>
    linesOf(csv)
      .slice(1)
      .filter((_, row) => !isTestRow(spec.dataset, row)),
  );
  return `${[header, ...rows].join('\n')}\n`;
}

/** The job with every row in training: for a file that holds training rows only. */
export function withoutTestSplit(spec: FederatedJobSpec): FederatedJobSpec {
  return { ...spec, dataset: { ...spec.dataset, testFraction: 0 } };
}

const linesOf = (csv: string): string[] => csv.split(/\r?\n/).filter((line) => line !== '');

function startOf(spec: FederatedJobSpec) {
  const { shape } = compileFeatures(spec.features);
  const { layers, seed } = spec.model;
  return { layout: layoutOf(layers, shape), initial: initialWeights(layers, shape, seed) };
}
