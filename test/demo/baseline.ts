import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';
import { auc } from '@tributary/edge-agent/internal/domain/metrics/auc.js';
import { aucInterval } from '@tributary/edge-agent/internal/domain/metrics/bootstrap.js';
import type { Predictions } from '@tributary/edge-agent/internal/domain/metrics/predictions.js';
import type { DatasetHandle } from '@tributary/edge-agent/internal/ports.js';
import type { FederatedJobSpec } from '@tributary/proto';

import { datasetAt, poolTrainingRows, predictTest, trainAlone, withoutTestSplit } from './experiment.js';
import { mean, type Estimate } from './result.js';

export interface SiteData {
  readonly site: string;
  /** As its agent reads it. */
  readonly handle: DatasetHandle;
  /** Rows of its table. */
  readonly rows: number;
}

/** Weights of the two references of one split: a model of each site alone, and one of all rows together. */
export interface References {
  readonly alone: ReadonlyMap<string, Float32Array>;
  readonly pooled: Float32Array;
}

/** Trains both references with the agents' own trainer: same model, features, regularisation and number of passes. */
export async function trainReferences(
  trainer: WorkerTrainer,
  spec: FederatedJobSpec,
  sites: readonly SiteData[],
  folder: string,
): Promise<References> {
  const alone = new Map<string, Float32Array>();
  for (const { site, handle } of sites) alone.set(site, await trainAlone(trainer, spec, handle));
  const pooledPath = join(folder, `pooled-${String(spec.dataset.splitSeed)}.csv`);
  await writeFile(
    pooledPath,
    await poolTrainingRows(
      sites.map(({ handle }) => handle),
      spec,
    ),
  );
  const pooled = await trainAlone(
    trainer,
    withoutTestSplit(spec),
    datasetAt(`pooled-${String(spec.dataset.splitSeed)}`, pooledPath),
  );
  return { alone, pooled };
}

/** Scores of `weights` on the test rows of a site. */
export function scoreSite(
  trainer: WorkerTrainer,
  spec: FederatedJobSpec,
  { handle }: SiteData,
  weights: Float32Array,
): Promise<Predictions> {
  return predictTest(trainer, spec, handle, weights);
}

const BOOTSTRAP = { resamples: 1_000, level: 0.95, seed: 7 };

/** AUC and interval of each split's predictions, averaged over the splits. */
export function estimateOver(splits: readonly Predictions[]): Estimate {
  const each = splits.map((predictions) => ({
    auc: auc(rankedOf(predictions)),
    ...aucInterval(rankedOf(predictions), BOOTSTRAP),
  }));
  return {
    auc: mean(each.map((one) => one.auc)),
    low: mean(each.map((one) => one.low)),
    high: mean(each.map((one) => one.high)),
  };
}

function rankedOf({ scores, labels }: Predictions) {
  return { scores, labels };
}
