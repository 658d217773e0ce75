import { join } from 'node:path';

import { TributaryError } from '@tributary/proto';

import { WorkerStatistics } from '../adapters/datasets/worker-statistics.js';
import { policyFile } from '../adapters/files/policy-file.js';
import { systemRandom } from '../adapters/system/random.js';
import type { AgentConfig } from '../config.js';
import { declaredDataset } from '../domain/datasets/declared-dataset.js';
import type { DatasetHandle, DatasetTerms } from '../ports.js';
import type { TrainParts } from './train.js';
import { createTrainer, type TrainerLog } from './trainer.js';

/** Terms of a dataset that the policy does not name: nothing leaves here, so nothing is asked. */
const OWN_TERMS: DatasetTerms = {
  minimumRows: 1,
  minCount: 1,
  vocabularies: [],
  deidentification: { drop: [], mask: [], generalise: [] },
};

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
    dataset: (name) => datasetOf(config, name),
    progress: say,
  };
}

async function datasetOf(config: AgentConfig, name: string): Promise<DatasetHandle> {
  const declaration = config.datasets.find((dataset) => dataset.name === name);
  if (declaration === undefined)
    throw new TributaryError('DATASET_UNKNOWN', `agent.yaml declares no dataset ${name}`);
  const scratchDir = join(config.dataDir, 'scratch');
  const site = { scratchDir, versionKey: systemRandom.bytes(32) };
  const policy = await policyFile(config.policyPath).read();
  const rule = policy?.spec.datasets.find((dataset) => dataset.name === name);
  const { minimumRows, minCount, vocabularies, deidentification } = rule ?? OWN_TERMS;
  return { ...declaredDataset(declaration, site), minimumRows, minCount, vocabularies, deidentification };
}
