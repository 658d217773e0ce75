import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { StreamPipeline } from '@tributary/proto';
import { openDataDirectory } from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { createLog } from '@tributary/edge-agent/internal/adapters/logs/pino-log.js';
import { systemClock } from '@tributary/edge-agent/internal/adapters/system/clock.js';
import { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';
import { openPipelines } from '@tributary/edge-agent/internal/commands/pipelines.js';
import { openServing } from '@tributary/edge-agent/internal/commands/serving.js';
import { servingConfigOf } from '@tributary/edge-agent/internal/serving-config.js';

import { localBroker } from '../support/mqtt-ends.js';
import { datasetHandle, modelOf, trainingSpec, trialCsv } from '../support/training-job.js';

/** What the agent of the stream benchmarks is told to do; it answers each request with a reply. */
export type AgentRequest =
  | {
      readonly kind: 'start';
      readonly dataDir: string;
      readonly port: number;
      readonly protocol: 'V3' | 'V5';
      readonly pipeline: StreamPipeline;
    }
  | { readonly kind: 'swap'; readonly model: string; readonly version: number }
  | { readonly kind: 'figures' }
  | { readonly kind: 'train' }
  | { readonly kind: 'stop' };

export interface AgentReply {
  /** Microseconds of all threads since the start. */
  readonly cpuUs: number;
  readonly rssBytes: number;
  /** Rounds of training that have ended. */
  readonly trained: number;
  readonly error?: string;
}

/** The part of the daemon that serves: models, predictions, pipelines. It has no federation. */
interface Running {
  readonly swap: (name: string, version: number) => Promise<unknown>;
  readonly close: () => Promise<void>;
  readonly dataDir: string;
}

let running: Running | undefined;
let trainer: WorkerTrainer | undefined;
let trained = 0;

async function start({
  dataDir,
  port,
  protocol,
  pipeline,
}: Extract<AgentRequest, { kind: 'start' }>): Promise<Running> {
  const data = await openDataDirectory(dataDir, join(dataDir, 'seal.key'));
  const log = createLog('error');
  const key = new Uint8Array(32).fill(1);
  const shared = { data, key, clock: systemClock, log };
  const serving = servingConfigOf(undefined, (path) => path);
  const runtime = await openServing({
    ...shared,
    config: { dataDir, serving },
    policy: { read: () => Promise.resolve(undefined) },
    siteFit: () => Promise.resolve(undefined),
  });
  await runtime.started;
  const pipelines = await openPipelines({
    ...shared,
    ...runtime,
    config: { brokers: [localBroker(port, protocol)] },
    documents: [pipeline],
  });
  return {
    dataDir,
    swap: (name, version) => runtime.serving.swap({ name, version }),
    close: async () => {
      await pipelines.close();
      await runtime.close();
      await data.close();
    },
  };
}

/** Trains round after round, as a long job would. */
async function train(dataDir: string): Promise<void> {
  const path = join(dataDir, 'rows.csv');
  await writeFile(path, trialCsv(20_000));
  const spec = trainingSpec({
    model: {
      name: 'trial',
      layers: [
        { type: 'Dense', units: 256, activation: 'Relu' },
        { type: 'Dense', units: 256, activation: 'Relu' },
        { type: 'Dense', units: 1, activation: 'Sigmoid' },
      ],
      seed: 5,
    },
  });
  const { layout, weights } = modelOf(spec);
  trainer = new WorkerTrainer();
  const { signal } = new AbortController();
  for (let round = 1; ; round += 1) {
    const task = { jobId: 'bench', round, spec, layout, signal, dataset: datasetHandle(path) };
    await trainer.train({ ...task, weights: Float32Array.from(weights) }, { progress: () => undefined });
    trained = round;
  }
}

async function answer(request: AgentRequest): Promise<void> {
  switch (request.kind) {
    case 'start':
      running = await start(request);
      return;
    case 'swap':
      await running?.swap(request.model, request.version);
      return;
    case 'train':
      // It is ended by closing the trainer.
      train(running?.dataDir ?? '').catch(() => undefined);
      return;
    case 'figures':
      return;
    case 'stop':
      await trainer?.close();
      await running?.close();
  }
}

process.on('message', (request: AgentRequest) => {
  answer(request)
    .then(
      () => undefined,
      (error: unknown) => String(error),
    )
    .then((error) => {
      const { user, system } = process.cpuUsage();
      const reply: AgentReply = {
        cpuUs: user + system,
        rssBytes: process.memoryUsage.rss(),
        trained,
        ...(error !== undefined && { error }),
      };
      process.send?.(reply, () => {
        if (request.kind === 'stop') process.exit(0);
      });
    })
    .catch(() => process.exit(1));
});
