import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { bytesToFloat32, EnvelopeOpener, type FederatedJobInput } from '@tributary/proto';
import { stringify } from 'yaml';

import { childrenOf } from '../support/child-processes.js';
import { BINARIES, Daemon, repositoryRoot, runCommand } from '../support/daemon.js';
import { policyDocument } from '../support/job-document.js';
import { ScriptedCoordinator } from '../support/scripted-coordinator.js';
import type { ScriptedRound } from '../support/scripted-log.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { trialCsv } from '../support/training-job.js';
import { eventually } from '../support/waiting.js';

const TRAINER = join(repositoryRoot, 'test/support/trivial-trainer.js');

/** Longer than the pause between two checkpoints, on fast machines too. */
const EPOCHS = 150;

/** Several seconds of training, with everything that a checkpoint has to carry: moments, a schedule, a best epoch. */
const LONG: Partial<FederatedJobInput['spec']> = {
  task: { type: 'Binary', positive: 'yes' },
  dataset: { name: 'trial', label: 'y', testFraction: 0.25, splitSeed: 3 },
  features: [
    { name: 'x1', type: 'Numeric' },
    { name: 'x2', type: 'Numeric', center: 1, scale: 2 },
  ],
  model: {
    name: 'trial',
    layers: [
      { type: 'Dense', units: 16, activation: 'Tanh' },
      { type: 'Dropout', rate: 0.2 },
      { type: 'BatchNormalization' },
      { type: 'Dense', units: 1, activation: 'Sigmoid' },
    ],
    seed: 5,
  },
  training: {
    epochs: EPOCHS,
    batchSize: 16,
    optimizer: { type: 'Adam', learningRate: 0.01 },
    schedule: { type: 'Cosine', unit: 'Epoch' },
    earlyStopping: { patience: 1_000 },
    seed: 11,
  },
};

/** What a process without our packages can train; it takes a tenth of a second for an epoch. */
const SLOW: Partial<FederatedJobInput['spec']> = {
  ...LONG,
  model: { name: 'trial', layers: [{ type: 'Dense', units: 1, activation: 'Sigmoid' }], seed: 5 },
  training: { epochs: 60, batchSize: 65_536, optimizer: { type: 'Sgd', learningRate: 0.5 } },
};

describe('a training that is killed', function () {
  this.timeout(180_000);
  let folder: TemporaryDirectory;
  let daemon: Daemon | undefined;
  let coordinator: ScriptedCoordinator;

  before(async () => {
    folder = await temporaryDirectory();
    await writeFile(join(folder.path, 'trial.csv'), trialCsv(600));
  });
  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    coordinator.stop();
  });
  after(() => folder.remove());

  /** A site of its own that has joined a coordinator of its own. */
  async function site(
    name: string,
    trainer: object = { type: 'Tfjs', backend: 'Wasm' },
  ): Promise<{ readonly config: string; readonly checkpoints: string }> {
    coordinator = await ScriptedCoordinator.start();
    const path = join(folder.path, name);
    await mkdir(path);
    const policy = policyDocument();
    await writeFile(
      join(path, 'policy.yaml'),
      stringify({
        ...policy,
        spec: {
          ...policy.spec,
          authors: [{ name: 'analyst', key: coordinator.log.authorKey }],
          datasets: [{ name: 'trial', columns: ['*'], minimumRows: 10 }],
          minimumCohort: 1,
        },
      }),
    );
    const config = join(path, 'agent.yaml');
    const datasets = [{ name: 'trial', path: '../trial.csv', format: 'Csv' }];
    await writeFile(
      config,
      stringify({
        ...{ formatVersion: 1, dataDir: './data', policy: './policy.yaml', datasets },
        trainer,
      }),
    );
    const joined = await runCommand(BINARIES.agent, [
      'join',
      '--token',
      coordinator.tokenText(),
      '--config',
      config,
    ]);
    assert.equal(joined.code, 0, joined.stderr);
    return { config, checkpoints: join(path, 'data/checkpoints') };
  }

  const start = async (config: string, logFile: string): Promise<void> => {
    coordinator.streams.clear();
    daemon = new Daemon({
      script: BINARIES.agent,
      args: ['run', '--config', config],
      logFile: join(folder.path, logFile),
    });
    await eventually('a stream', () => (coordinator.streams.size === 1 ? true : undefined));
  };

  /** The vector that arrives, decrypted. */
  const vectorOf = async (round: ScriptedRound): Promise<Float32Array> => {
    const upload = await eventually(
      'the update',
      () => [...coordinator.uploads.values()].find(({ sealed }) => sealed),
      90_000,
    );
    const opener = new EnvelopeOpener(upload.header, round.roundSecret);
    return bytesToFloat32(Buffer.concat(upload.chunks.map((chunk, index) => opener.open(index, chunk))));
  };

  /** Epochs that the daemon did not train again, from its log. */
  const resumedAfter = async (): Promise<number> => {
    const log = (await daemon?.log()) ?? '';
    return Number(/"epochs":(\d+)[^\n]*"training resumed"/.exec(log)?.[1]);
  };

  it('goes on after kill -9 and gives the bits of one that was not interrupted; nothing of it stays', async () => {
    const killed = await site('killed');
    const round = coordinator.openRound({ spec: LONG });
    await start(killed.config, 'first.log');
    await coordinator.sendOrder('train', round.seqs);
    const names = (): Promise<readonly string[]> =>
      readdir(killed.checkpoints).then((files) => files.filter((file) => file.endsWith('.checkpoint')));
    await eventually('a checkpoint', async () => ((await names()).length > 0 ? true : undefined), 60_000);
    await daemon?.stop('SIGKILL');
    assert.equal(coordinator.uploads.size, 0, 'the training was over before it was killed: make it longer');
    await start(killed.config, 'second.log');
    await coordinator.sendOrder('train', round.seqs);
    const resumed = await vectorOf(round);
    const epochs = await resumedAfter();
    assert.ok(epochs > 0 && epochs < EPOCHS, `resumed after ${String(epochs)} epochs`);
    assert.deepEqual(await names(), []);
    await daemon?.stop('SIGKILL');
    coordinator.stop();

    const whole = await site('whole');
    const again = coordinator.openRound({ spec: LONG });
    assert.deepEqual(again.base, round.base);
    await start(whole.config, 'whole.log');
    await coordinator.sendOrder('train', again.seqs);
    const expected = await vectorOf(again);
    assert.ok(expected.subarray(0, 40).some((value) => value !== 0));
    assert.deepEqual(Buffer.from(resumed.buffer), Buffer.from(expected.buffer));
  });

  it('goes on in the same round when the process of its trainer is killed, with the same bits', async () => {
    const socket = (misdeed: string): object => ({
      type: 'Socket',
      path: './own.sock',
      command: [process.execPath, TRAINER, misdeed],
    });
    const killed = await site('trainer-killed', socket('slow'));
    const round = coordinator.openRound({ spec: SLOW });
    await start(killed.config, 'trainer-killed.log');
    await coordinator.sendOrder('train', round.seqs);
    const percents = (): readonly number[] => coordinator.messages('progress').map(({ percent }) => percent);
    for (const reached of [15, 45]) {
      await eventually(`${String(reached)} per cent`, () => percents().find((percent) => percent >= reached));
      const [pid] = await childrenOf(daemon?.pid ?? 0);
      assert.ok(pid !== undefined, 'no trainer to kill');
      process.kill(pid, 'SIGKILL');
    }
    const resumed = await vectorOf(round);
    assert.equal((await daemon?.log())?.match(/the trainer died; another one goes on/g)?.length, 2);
    assert.deepEqual(
      percents(),
      percents().toSorted((a, b) => a - b),
      'began anew',
    );
    assert.deepEqual(coordinator.messages('failure'), []);
    await daemon?.stop('SIGKILL');
    coordinator.stop();

    const whole = await site('trainer-whole', socket('none'));
    const again = coordinator.openRound({ spec: SLOW });
    await start(whole.config, 'trainer-whole.log');
    await coordinator.sendOrder('train', again.seqs);
    assert.deepEqual(Buffer.from(resumed.buffer), Buffer.from((await vectorOf(again)).buffer));
  });
});
