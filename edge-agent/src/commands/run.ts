import { TributaryError } from '@tributary/proto';

import { WorkerStatistics } from '../adapters/datasets/worker-statistics.js';
import { systemRandom } from '../adapters/system/random.js';
import { siteFitOf } from '../app/feature-fits.js';
import { trainingDuty } from '../app/training-duty.js';
import type { AgentConfig } from '../config.js';
import { declaredDataset } from '../domain/datasets/declared-dataset.js';
import type { Clock, Trainer } from '../ports.js';
import { runDaemon } from './daemon.js';
import { createTrainer } from './trainer.js';

/** What tests and benchmarks put in the place of adapters; everything else is the daemon as it ships. */
export interface RunOptions {
  readonly trainer?: (config: AgentConfig) => Trainer;
  readonly clock?: Clock;
}

/** Runs the agent that trains. Rejects with CONFIG_INVALID where agent.yaml is that of a replica. */
export async function runCommand(config: AgentConfig, options: RunOptions): Promise<void> {
  if (config.serving.fits.length > 0) {
    throw new TributaryError(
      'CONFIG_INVALID',
      'serving.fits: the training agent has what it learnt; remove it',
      {
        hint: 'Replicas read it: start one with `tributary-agent serve`.',
        fields: { field: 'serving.fits' },
      },
    );
  }
  await runDaemon(config, (log) => {
    const trainer = options.trainer?.(config) ?? createTrainer(config, log);
    return {
      ...(options.clock && { clock: options.clock }),
      duty: ({ data, key, ...parts }) =>
        trainingDuty({
          ...parts,
          ...data,
          random: systemRandom,
          trainer,
          trainerType: config.trainer.type,
          statistics: new WorkerStatistics(),
          datasets: config.datasets.map((declaration) =>
            declaredDataset(declaration, { scratchDir: data.scratchDir, versionKey: key }),
          ),
        }),
      admit: () => undefined,
      siteFit: ({ data }, { jobId }) => siteFitOf(data.store, jobId),
      close: () => trainer.close(),
    };
  });
}
