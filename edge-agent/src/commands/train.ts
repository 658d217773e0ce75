import {
  compileFeatures,
  inLabelUnits,
  initialWeights,
  layoutOf,
  needsStatistics,
  scaledBy,
  TributaryError,
  type FeatureFit,
  type FederatedJobSpec,
} from '@tributary/proto';

import { fitAlone, joinFits } from '../domain/feature-fit.js';
import type { DatasetHandle, RowStatistics, Trainer } from '../ports.js';
import { readJob } from './job-file.js';

export interface TrainFlags {
  readonly output: string;
  readonly offline?: boolean;
  readonly file?: string;
}

export interface TrainParts {
  readonly trainer: Trainer;
  readonly statistics: RowStatistics;
  /** The site's dataset of that name, as its policy has it; throws DATASET_UNKNOWN. */
  readonly dataset: (name: string) => DatasetHandle | Promise<DatasetHandle>;
  /** Where what happens meanwhile is told. */
  readonly progress: (line: string) => void;
}

/** What one round alone came to: the loss while training, and the metrics of the model after it. */
export interface OfflineRound {
  readonly round: number;
  readonly trainingLoss: number;
  readonly testLoss: number | null;
  readonly metrics: Readonly<Record<string, number | null>>;
}

export interface OfflineResult {
  readonly job: string;
  readonly dataset: string;
  readonly backend: string;
  readonly trainExamples: number;
  readonly testExamples: number;
  readonly rounds: readonly OfflineRound[];
}

/**
 * Trains the model of a job on the site's own rows alone, for as many rounds as the federation would: the same first
 * weights, split, order of rows and optimizer, but no other site, no clipping and nothing sent. For comparison.
 */
export async function trainCommand(flags: TrainFlags, parts: () => TrainParts): Promise<string> {
  if (flags.offline !== true)
    throw new TributaryError(
      'USAGE',
      'train needs --offline: rounds of a federation are trained by `tributary-agent run`',
    );
  if (flags.file === undefined) throw new TributaryError('USAGE', 'train needs -f FILE, the job');
  const { metadata, spec } = await readJob(flags.file);
  const { trainer, statistics, dataset, progress } = parts();
  try {
    const handle = await dataset(spec.dataset.name);
    const fit = await fitOf(spec, handle, statistics);
    const result = await trainAlone({ job: metadata.name, spec, dataset: handle, fit }, trainer, progress);
    return flags.output === 'json' ? `${JSON.stringify(result, null, 2)}\n` : describe(result);
  } finally {
    await trainer.close();
  }
}

/** What the features learn where no other site takes part. */
async function fitOf(
  spec: FederatedJobSpec,
  dataset: DatasetHandle,
  statistics: RowStatistics,
): Promise<FeatureFit> {
  const { vocabularies } = dataset;
  if (!needsStatistics(spec) && scaledBy(spec.features, 'Site').length === 0)
    return joinFits(spec, { vocabularies });
  const { signal } = new AbortController();
  return fitAlone(spec, vocabularies, await statistics.collect({ spec, dataset, signal }));
}

interface Alone {
  readonly job: string;
  readonly spec: FederatedJobSpec;
  readonly dataset: DatasetHandle;
  readonly fit: FeatureFit;
}

async function trainAlone(
  { job, spec, dataset, fit }: Alone,
  trainer: Trainer,
  progress: (line: string) => void,
): Promise<OfflineResult> {
  const { layers, seed } = spec.model;
  const { shape } = compileFeatures(spec.features, fit);
  const layout = layoutOf(layers, shape);
  const weights = initialWeights(layers, shape, seed);
  const task = { jobId: 'offline', spec, layout, dataset, fit };
  const rounds: OfflineRound[] = [];
  let [trainExamples, testExamples] = [0, 0];
  for (let round = 1; round <= spec.rounds; round += 1) {
    const signal = new AbortController().signal;
    const trained = await trainer.train(
      { ...task, round, weights: weights.slice(), signal },
      { progress: () => undefined },
    );
    for (const [index, change] of trained.delta.entries()) weights[index] = (weights[index] ?? 0) + change;
    const measured = await trainer.evaluate({ ...task, weights: weights.slice() });
    [trainExamples, testExamples] = [trained.examples, measured.examples];
    rounds.push({
      round,
      trainingLoss: trained.loss,
      testLoss: finiteOrNull(measured.loss),
      metrics: Object.fromEntries(
        Object.entries(inLabelUnits(spec.task, measured.metrics)).map(([name, value]) => [
          name,
          finiteOrNull(value),
        ]),
      ),
    });
    progress(`round ${String(round)} of ${String(spec.rounds)}: training loss ${trained.loss.toFixed(4)}`);
  }
  const { backend } = trainer;
  return { job, dataset: dataset.name, backend, trainExamples, testExamples, rounds };
}

function describe({ job, dataset, backend, trainExamples, testExamples, rounds }: OfflineResult): string {
  const last = rounds.at(-1);
  const lines = [
    ['Job', job],
    ['Dataset', dataset],
    ['Backend', backend],
    ['Rows', `${String(trainExamples)} for training, ${String(testExamples)} for evaluation`],
    ['Rounds', String(rounds.length)],
    ['Training loss', text(last?.trainingLoss ?? null)],
    ['Test loss', text(last?.testLoss ?? null)],
    ...Object.entries(last?.metrics ?? {}).map(([name, value]) => [name, text(value)] as const),
  ] as const;
  const width = Math.max(...lines.map(([name]) => name.length)) + 2;
  return `${lines.map(([name, value]) => `${`${name}:`.padEnd(width)}${value}`).join('\n')}\n`;
}

const text = (value: number | null): string => (value === null ? 'undefined' : value.toPrecision(6));

const finiteOrNull = (value: number): number | null => (Number.isFinite(value) ? value : null);
