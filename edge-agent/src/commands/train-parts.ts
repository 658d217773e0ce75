import { WorkerStatistics } from '../adapters/datasets/worker-statistics.js';
import type { AgentConfig } from '../config.js';
import { datasetNamed, policedDatasets } from './dataset-handles.js';
import type { TrainParts } from './train.js';
import { createTrainer, type TrainerLog } from './trainer.js';

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

const log: TrainerLog = {
  info: () => undefined,
  warn: ({ backend, refused }) => say(`training on ${String(backend)}; ${String(refused)}`),
};

/** What a comparison at the site needs: its dataset on the terms of its policy, and no coordinator. */
export function trainParts(config: AgentConfig): TrainParts {
  return {
    trainer: createTrainer(config, log),
    statistics: new WorkerStatistics(),
    dataset: async (name) => datasetNamed(await policedDatasets(config), name).handle,
    progress: say,
  };
}
