import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  SocketTrainer,
  type SocketTrainerOptions,
} from '@tributary/edge-agent/internal/adapters/training/socket/socket-trainer.js';
import { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';
import type { Trainer, TrainingCheckpoints, TrainingEvents } from '@tributary/edge-agent/internal/ports.js';
import { TributaryError } from '@tributary/proto';
import { stringify } from 'yaml';

import { BINARIES, repositoryRoot, runCommand } from '../support/daemon.js';
import { refusal } from '../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { datasetHandle, modelOf, trainingSpec, trialCsv } from '../support/training-job.js';

const TRAINER = join(repositoryRoot, 'test/support/trivial-trainer.js');

/** A logistic regression by steps over all rows: what the trivial trainer can do, and TensorFlow.js too. */
const spec = (epochs = 20) =>
  trainingSpec({
    model: { name: 'trial', layers: [{ type: 'Dense', units: 1, activation: 'Sigmoid' }], seed: 5 },
    training: { epochs, batchSize: 65_536, optimizer: { type: 'Sgd', learningRate: 0.5 } },
  });

describe('trainer behind a socket (a process without our packages)', function () {
  this.timeout(60_000);
  let folder: TemporaryDirectory;
  const trainers: Trainer[] = [];
  let sockets = 0;

  before(async () => {
    folder = await temporaryDirectory();
    await writeFile(join(folder.path, 'trial.csv'), trialCsv(300));
  });
  after(() => folder.remove());
  afterEach(async () => {
    for (const trainer of trainers.splice(0)) await trainer.close();
  });

  function open(misdeed = '', limits: SocketTrainerOptions['limits'] = {}): SocketTrainer {
    const path = join(folder.path, `${String((sockets += 1))}.sock`);
    const command = [process.execPath, TRAINER, misdeed];
    const trainer = new SocketTrainer({ path, command, environment: {}, limits });
    trainers.push(trainer);
    return trainer;
  }

  interface Run {
    readonly epochs?: number;
    readonly path?: string;
    readonly signal?: AbortSignal;
    readonly checkpoints?: TrainingCheckpoints;
    readonly events?: TrainingEvents;
  }
  const train = (trainer: Trainer, { epochs, path, signal, checkpoints, events }: Run = {}) => {
    const job = spec(epochs);
    const task = {
      ...{ jobId: 'job-1', round: 1, spec: job, ...modelOf(job) },
      dataset: datasetHandle(path ?? join(folder.path, 'trial.csv')),
      signal: signal ?? new AbortController().signal,
      ...(checkpoints && { checkpoints }),
    };
    return trainer.train(task, events ?? { progress: () => undefined });
  };

  it('trains what TensorFlow.js trains, reports progress, and the agent measures its scores', async () => {
    const percents: number[] = [];
    const ours = open();
    const result = await train(ours, { events: { progress: (percent) => percents.push(percent) } });
    const worker = new WorkerTrainer();
    trainers.push(worker);
    const expected = await train(worker);
    for (const [index, value] of result.delta.entries())
      assert.ok(Math.abs(value - (expected.delta[index] ?? Number.NaN)) < 1e-5);
    assert.ok(Math.abs(result.loss - expected.loss) < 1e-5);
    assert.deepEqual([result.examples, result.testExamples], [expected.examples, expected.testExamples]);
    assert.match(result.dataVersion ?? '', /^hmac-sha256:/);
    assert.equal(result.dataVersion, expected.dataVersion);
    for (const [name, value] of Object.entries(expected.metrics))
      assert.ok(Math.abs((result.metrics[name] ?? Number.NaN) - value) < 1e-6, name);
    assert.equal(percents.at(-1), 100);
    assert.ok(percents.length > 10);
    const job = spec();
    const dataset = datasetHandle(join(folder.path, 'trial.csv'));
    const evaluated = await ours.evaluate({ jobId: 'job-1', spec: job, ...modelOf(job), dataset });
    assert.deepEqual(evaluated.metrics, result.metrics);
  });

  it('goes on from its own checkpoint with the bits of a training that was not interrupted', async () => {
    let kept: Uint8Array | undefined;
    const checkpoints: TrainingCheckpoints = {
      read: () => Promise.resolve(kept),
      write: (bytes) => {
        kept = bytes;
        return Promise.resolve();
      },
    };
    const whole = await train(open());
    await assert.rejects(train(open('crash'), { checkpoints }), refusal('TRAINING_FAILED', /ended|broke/));
    assert.ok(kept !== undefined);
    const percents: number[] = [];
    const resumed = await train(open(), {
      checkpoints,
      events: { progress: (percent) => percents.push(percent) },
    });
    assert.ok((percents[0] ?? 0) > 5, 'the first epochs were not trained again');
    assert.deepEqual(resumed.delta, whole.delta);
  });

  it('begins anew where the rows are others than those of the checkpoint', async () => {
    const path = join(folder.path, 'other.csv');
    await writeFile(path, trialCsv(300));
    let kept: Uint8Array | undefined;
    const checkpoints: TrainingCheckpoints = {
      read: () => Promise.resolve(kept),
      write: (bytes) => {
        kept = bytes;
        return Promise.resolve();
      },
    };
    await assert.rejects(
      train(open('crash'), { path, checkpoints }),
      refusal('TRAINING_FAILED', /ended|broke/),
    );
    assert.ok(kept !== undefined);
    await writeFile(path, trialCsv(300).replaceAll(',red,', ',blue,'));
    const percents: number[] = [];
    const events = { progress: (percent: number) => percents.push(percent) };
    await train(open(), { path, checkpoints, events });
    assert.ok((percents[0] ?? 100) <= 5, 'the first epochs were trained on other rows');
  });

  const MISDEEDS: readonly [string, RegExp, ('TRAINING_FAILED' | 'TRAINING_DIVERGED')?][] = [
    ['crash', /ended before|broke the connection/],
    ['garbage', /longer than allowed|does not know/],
    ['unknownFrame', /a kind that the protocol does not know/],
    ['oversizeFrame', /longer than allowed/],
    ['oversizeDelta', /more weights than were asked for/],
    ['oversizeCheckpoint', /checkpoint that is larger than allowed/],
    ['shortDelta', /before all weights had come/],
    ['notFinite', /not finite/, 'TRAINING_DIVERGED'],
    ['noProbabilities', /no probabilities/],
    ['reports', /reports that it failed/],
  ];
  for (const [misdeed, words, code = 'TRAINING_FAILED'] of MISDEEDS) {
    it(`${misdeed}: fails the round, and nothing that it said goes further`, async () => {
      const error: unknown = await train(open(misdeed)).then(
        () => undefined,
        (failure: unknown) => failure,
      );
      assert.ok(error instanceof TributaryError);
      assert.equal(error.code, code);
      assert.match(error.message, words);
      assert.doesNotMatch(JSON.stringify(error), /Mustermann/);
    });
  }

  it('hang: is given up after a time without a word', async () => {
    await assert.rejects(
      train(open('hang', { idleMs: 500 })),
      refusal('TRAINING_FAILED', /said nothing for too long/),
    );
  });

  it('talks for ever: is given up at the deadline', async () => {
    await assert.rejects(
      train(open('disobeys', { taskMs: 800 })),
      refusal('TRAINING_FAILED', /in the time of the round/),
    );
  });

  for (const misdeed of ['slow', 'disobeys']) {
    it(`${misdeed}: a cancelled training ends, and the next one is trained`, async () => {
      const trainer = open(misdeed, { stopMs: 500 });
      const controller = new AbortController();
      const begun = train(trainer, {
        epochs: 1_000,
        signal: controller.signal,
        events: { progress: () => controller.abort() },
      });
      await assert.rejects(begun, refusal('JOB_CANCELLED', /cancelled/));
      if (misdeed === 'slow') assert.ok((await train(trainer, { epochs: 2 })).examples > 0);
    });
  }

  it('nobody listens: says so', async () => {
    const trainer = new SocketTrainer({
      path: join(folder.path, 'none.sock'),
      environment: {},
      limits: { startMs: 300 },
    });
    trainers.push(trainer);
    await assert.rejects(train(trainer), refusal('TRAINING_FAILED', /no trainer listens/));
  });

  it('a trainer that crashed is started again for the next task', async () => {
    const trainer = open('crash');
    await assert.rejects(train(trainer), refusal('TRAINING_FAILED', /./));
    assert.ok((await train(trainer, { epochs: 1 })).examples > 0);
  });

  it('agent.yaml names it; train --offline uses it', async () => {
    const job = spec(5);
    await writeFile(
      join(folder.path, 'job.yaml'),
      stringify({
        apiVersion: 'tributary.dev/v1alpha1',
        kind: 'FederatedJob',
        metadata: { name: 'trial' },
        spec: job,
      }),
    );
    const config = join(folder.path, 'agent.yaml');
    await writeFile(
      config,
      stringify({
        formatVersion: 1,
        dataDir: './data',
        datasets: [{ name: 'trial', path: 'trial.csv', format: 'Csv' }],
        trainer: { type: 'Socket', path: './own.sock', command: [process.execPath, TRAINER] },
      }),
    );
    const args = [
      'train',
      '--offline',
      '-f',
      join(folder.path, 'job.yaml'),
      '--config',
      config,
      '-o',
      'json',
    ];
    const { code, stdout, stderr } = await runCommand(BINARIES.agent, args);
    assert.equal(code, 0, stderr);
    const result = JSON.parse(stdout) as {
      backend: string;
      rounds: { trainingLoss: number; metrics: object }[];
    };
    assert.equal(result.backend, 'socket');
    assert.equal(result.rounds.length, 2);
    assert.ok((result.rounds[1]?.trainingLoss ?? 1) < (result.rounds[0]?.trainingLoss ?? 0));
    assert.deepEqual(Object.keys(result.rounds[0]?.metrics ?? {}), ['auc', 'accuracy']);
  });
});
