import { readFile } from 'node:fs/promises';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { WorkerStatistics } from '@tributary/edge-agent/internal/adapters/datasets/worker-statistics.js';
import {
  decisionsPath,
  openDataDirectory,
  type DataDirectory,
  socketPath,
} from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { GrpcDialer } from '@tributary/edge-agent/internal/adapters/grpc/dialer.js';
import { systemClock } from '@tributary/edge-agent/internal/adapters/system/clock.js';
import { systemRandom } from '@tributary/edge-agent/internal/adapters/system/random.js';
import type { Proxy } from '@tributary/edge-agent/internal/adapters/tls/connect-tunnel.js';
import { SocketMeter } from '@tributary/edge-agent/internal/adapters/tls/socket-meter.js';
import { certificateReader, tlsKeyMaker } from '@tributary/edge-agent/internal/adapters/tls/tls-keys.js';
import { Agent } from '@tributary/edge-agent/internal/app/agent.js';
import { trainingDuty } from '@tributary/edge-agent/internal/app/training-duty.js';
import type { ServingSwitch } from '@tributary/edge-agent/internal/app/rollout-follower.js';
import { MemoryModels } from '@tributary/edge-agent/internal/adapters/models/memory-models.js';
import { EgressCounter } from '@tributary/edge-agent/internal/app/egress-counter.js';
import { join as joinFederation, type JoinResult } from '@tributary/edge-agent/internal/app/joining.js';
import type { LogFields } from '@tributary/edge-agent/internal/app/log.js';
import type {
  Clock,
  Dialer,
  Trainer,
  TrainingResult,
  TrainingTask,
} from '@tributary/edge-agent/internal/ports.js';
import { digestOf, parseSitePolicy, type JoinToken, type SitePolicySpec } from '@tributary/proto';

import { policyDocument } from './job-document.js';
import { datasetHandle } from './training-job.js';

/** Rollouts have tests of their own. */
const NO_SERVING: ServingSwitch = {
  swap: () => Promise.resolve(),
  rollback: (name) => Promise.resolve({ name, version: 1 }),
  stop: () => Promise.resolve(),
  served: () => [],
};

/** A trainer that gives a fixed vector, or what a test wants. */
export class ScriptedTrainer implements Trainer {
  readonly backend = 'scripted';
  trainings = 0;
  /** Element of every delta. */
  value = 0.5;
  fail: ((task: TrainingTask) => Error) | undefined;
  /** Trainings wait for it. */
  gate: Promise<void> = Promise.resolve();

  async train(task: TrainingTask): Promise<TrainingResult> {
    this.trainings += 1;
    await Promise.race([this.gate, aborted(task.signal)]);
    if (this.fail !== undefined) throw this.fail(task);
    return {
      delta: new Float32Array(task.layout.length).fill(this.value),
      examples: 200,
      loss: 0.25,
      metrics: {},
      testExamples: 50,
    };
  }

  evaluate(): Promise<never> {
    return Promise.reject(new Error('not scripted'));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const stop = (): void => reject(new Error('aborted'));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

export interface RunningAgent {
  readonly agent: Agent;
  /** Settles when the agent has ended, with its error where it has one. */
  readonly ended: Promise<Error | undefined>;
  stop(): Promise<Error | undefined>;
}

/** A site in a folder: the agent with its real adapters, but another trainer. */
export class ScriptedSite {
  readonly trainer = new ScriptedTrainer();
  readonly lines: string[] = [];
  policy: SitePolicySpec | undefined;
  proxy: Proxy | undefined;
  bundle: string | undefined;
  /** Takes the place of the dialer of its channels, and of its clock. */
  dialer: ((egress: EgressCounter) => Dialer) | undefined;
  clock: Clock = systemClock;
  readonly #folder: string;

  /** A site that trusts the author whose key the coordinator's jobs bear (standard base64). */
  constructor(folder: string, coordinator: { readonly log: { readonly authorKey: string } }) {
    this.#folder = folder;
    const document = policyDocument();
    this.policy = parseSitePolicy({
      ...document,
      spec: {
        ...document.spec,
        authors: [{ name: 'analyst', key: coordinator.log.authorKey }],
        minimumCohort: 1,
      },
    }).spec;
  }

  get dataDir(): string {
    return join(this.#folder, 'data');
  }

  open(): Promise<DataDirectory> {
    return openDataDirectory(this.dataDir, join(this.dataDir, 'seal.key'));
  }

  /** The site's own log, line by line. */
  async decisionLines(): Promise<readonly string[]> {
    return (await readFile(decisionsPath(this.dataDir), 'utf8')).trimEnd().split('\n');
  }

  async join(token: JoinToken): Promise<JoinResult> {
    const data = await this.open();
    const { dialer, sockets } = await this.#dialer(data);
    try {
      return await joinFederation(
        {
          store: data.store,
          dialer,
          keys: tlsKeyMaker,
          certificates: certificateReader,
          random: systemRandom,
          clock: systemClock,
        },
        token,
      );
    } finally {
      sockets.close();
      await data.close();
    }
  }

  async run(): Promise<RunningAgent> {
    await writeFile(join(this.#folder, 'loans.csv'), 'annual_inc,term,Class\n');
    const data = await this.open();
    const { egress, dialer, sockets } = await this.#dialer(data);
    const close = async (): Promise<void> => {
      sockets.close();
      await data.close();
    };
    const say = (level: string) => (fields: LogFields, message: string) =>
      this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    const { clock } = this;
    const random = systemRandom;
    const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
    const policy = {
      read: () =>
        Promise.resolve(
          this.policy === undefined ? undefined : { spec: this.policy, digest: digestOf(new Uint8Array(0)) },
        ),
    };
    const common = { ...data, egress, clock, random, policy, log };
    const agent = await Agent.open(
      {
        ...common,
        keys: tlsKeyMaker,
        certificates: certificateReader,
        models: new MemoryModels(),
        serving: NO_SERVING,
        dialer,
      },
      trainingDuty({
        ...common,
        trainer: this.trainer,
        trainerType: 'Tfjs',
        statistics: new WorkerStatistics(),
        datasets: [{ ...datasetHandle(join(this.#folder, 'loans.csv')), name: 'loans' }],
      }),
    ).catch(async (error: unknown) => {
      await close();
      throw error;
    });
    const stop = new AbortController();
    const ended = agent
      .run(stop.signal)
      .then(
        () => undefined,
        (error: unknown) => error as Error,
      )
      .finally(close);
    return {
      agent,
      ended,
      stop: () => {
        stop.abort();
        return ended;
      },
    };
  }

  async #dialer(
    data: DataDirectory,
  ): Promise<{ readonly egress: EgressCounter; readonly dialer: Dialer; readonly sockets: SocketMeter }> {
    const sockets = new SocketMeter();
    const egress = await EgressCounter.open({ ...data, sockets, clock: this.clock });
    if (this.dialer !== undefined) return { egress, dialer: this.dialer(egress), sockets };
    const dialer = new GrpcDialer({
      proxy: () => Promise.resolve(this.proxy),
      noProxy: [],
      bundle: this.bundle,
      socketsDir: dirname(socketPath(this.dataDir)),
      egress,
      sockets,
    });
    return { egress, dialer, sockets };
  }
}
