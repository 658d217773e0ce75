import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { writeExport } from '@tributary/coordinator/internal/cli/export/export-files.js';
import { createLog } from '@tributary/edge-agent/internal/adapters/logs/pino-log.js';
import { systemClock } from '@tributary/edge-agent/internal/adapters/system/clock.js';
import { predictCommand } from '@tributary/edge-agent/internal/commands/predict.js';
import { openServing, type ServingRuntime } from '@tributary/edge-agent/internal/commands/serving.js';
import { loadConfig } from '@tributary/edge-agent/internal/config.js';
import { float32ToBytes, type Row } from '@tributary/proto';

import { BINARIES, runCommand } from '../support/daemon.js';
import { refusal } from '../support/refusal.js';
import { newModel, registeredModel } from '../support/served-model.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

interface Printed {
  readonly predictions: readonly {
    readonly model: string;
    readonly decisionId: string;
    readonly scores: Readonly<Record<string, number>>;
  }[];
  readonly unreadableCells: number;
}

const ROWS: readonly Row[] = [
  { x1: 0.1, x2: -3.25, c: 'red', y: 'no' },
  { x1: 1 / 3, x2: null, c: 'blue' },
  { x1: 'much', x2: '2', c: null },
];

describe('tributary-agent predict', function () {
  this.timeout(60_000);
  let folder: TemporaryDirectory;
  let rowsFile = '';
  const runtimes: ServingRuntime[] = [];

  before(async () => {
    folder = await temporaryDirectory();
    rowsFile = join(folder.path, 'rows.ndjson');
    await writeFile(rowsFile, ROWS.map((row) => `${JSON.stringify(row)}\n`).join(''));
  });
  after(() => folder.remove());
  afterEach(async () => {
    for (const runtime of runtimes.splice(0)) await runtime.close();
  });

  const config = {
    host: '127.0.0.1',
    port: 0,
    grpcPort: 0,
    tokenFile: undefined,
    decisions: { retentionDays: 1, maximumBytes: 1_000_000, inputs: 'None' },
    fits: [],
  } as const;

  async function serving(dataDir: string): Promise<ServingRuntime> {
    await mkdir(join(dataDir, 'run'), { recursive: true });
    const runtime = await openServing({
      config: { dataDir, serving: config },
      data: {
        modelsDir: join(dataDir, 'models'),
        predictionsDir: join(dataDir, 'predictions'),
      },
      key: new Uint8Array(32),
      siteFit: () => Promise.resolve(undefined),
      policy: { read: () => Promise.resolve(undefined) },
      clock: systemClock,
      log: createLog('silent'),
    });
    runtimes.push(runtime);
    await runtime.started;
    return runtime;
  }

  async function exported(): Promise<string> {
    const { manifest, manifestBytes, signature, modelKey, weights } = registeredModel();
    const target = join(folder.path, `export-${String(Math.floor(performance.now() * 1_000))}`);
    await mkdir(target);
    const weightsFile = join(target, '.weights.part');
    await writeFile(weightsFile, float32ToBytes(weights));
    await writeExport({
      folder: target,
      format: 'tfjs',
      manifest,
      manifestBytes,
      modelKey,
      signature,
      weightsFile,
    });
    return target;
  }

  it('asks the agent through its socket, which serves what its store points at, after a restart too', async () => {
    const dataDir = join(folder.path, 'agent');
    const first = await serving(dataDir);
    for (const version of [1, 2]) await first.models.put(newModel(registeredModel({ version })));
    const ask = async (model?: string): Promise<Printed> => {
      const flags = { output: 'json', file: rowsFile, ...(model !== undefined && { model }) };
      return JSON.parse(await predictCommand(flags, () => dataDir)) as Printed;
    };
    await assert.rejects(ask(), refusal('NOT_FOUND', /no model/));
    await first.serving.swap({ name: 'trial', version: 1 });
    await first.serving.swap({ name: 'trial', version: 2 });
    const expected = await first.predictor.predict({ model: 'trial', rows: ROWS });
    const answer = await ask();
    assert.deepEqual(
      answer.predictions.map(({ scores }) => scores['yes']),
      [...expected.scores],
    );
    assert.deepEqual([answer.predictions[0]?.model, answer.unreadableCells], ['trial@2', 1]);
    await assert.rejects(ask('trial@1'), refusal('NOT_FOUND'));
    await assert.rejects(ask('trial@one'), refusal('USAGE'));
    await runtimes.pop()?.close();

    const again = await serving(dataDir);
    assert.deepEqual((await ask('trial')).predictions[0]?.scores, answer.predictions[0]?.scores);
    await again.serving.rollback('trial');
    assert.equal((await ask()).predictions[0]?.model, 'trial@1');
    assert.deepEqual(await again.models.pointers('trial'), { current: 1, lastGood: 2 });
    await writeFile(join(dataDir, 'models/trial/1/weights.f32'), 'rot');
    await runtimes.pop()?.close();

    const mended = await serving(dataDir);
    assert.equal((await ask()).predictions[0]?.model, 'trial@2');
    await assert.rejects(mended.serving.swap({ name: 'trial', version: 1 }), refusal('STORE_CORRUPT'));
    assert.equal((await ask()).predictions[0]?.model, 'trial@2');
    await mended.serving.stop('trial');
    await assert.rejects(ask('trial'), refusal('NOT_FOUND'));
    assert.deepEqual(await mended.models.pointers('trial'), {});
  });

  it('asks an exported model offline: text and JSON, with the same bits', async () => {
    const target = await exported();
    const args = ['predict', '--offline', '--export', target, '-f', rowsFile];
    const json = await runCommand(BINARIES.agent, [...args, '-o', 'json']);
    assert.equal(json.code, 0, json.stderr);
    const { predictions, unreadableCells } = JSON.parse(json.stdout) as Printed;
    const runtime = await serving(join(folder.path, 'other'));
    await runtime.models.put(newModel(registeredModel()));
    await runtime.serving.swap({ name: 'trial', version: 1 });
    const expected = await runtime.predictor.predict({ model: 'trial', rows: ROWS });
    assert.deepEqual(
      predictions.map(({ scores }) => scores['yes']),
      [...expected.scores],
    );
    assert.equal(unreadableCells, 1);
    const text = await runCommand(BINARIES.agent, args);
    assert.match(text.stdout, /^1 {2}trial@1 {2}yes=0\.\d{6} {2}[0-9a-f]{32}$/m);
    assert.match(text.stdout, /1 cell could not be read/);
  });

  it('refuses an export that was altered, and rows that are none, without quoting them', async () => {
    const target = await exported();
    const ask = (file: string, from = target): Promise<string> =>
      predictCommand({ output: 'text', file, offline: true, export: from }, () => '');
    await writeFile(join(target, 'weights.bin'), new Uint8Array(100));
    await assert.rejects(ask(rowsFile), refusal('STORE_CORRUPT', /weights\.bin/));
    await assert.rejects(ask(rowsFile, join(folder.path, 'none')), refusal('NOT_FOUND', /manifest\.json/));
    const bad = join(folder.path, 'bad.json');
    const cases: readonly [string, RegExp][] = [
      ['', /no row/],
      ['{"x1":1}\n{"Mustermann', /row 2 is not JSON/],
      ['[1]', /row 1 is not an object/],
      ['{"x1":{"name":"Mustermann"}}', /row 1, column "x1"/],
    ];
    for (const [text, words] of cases) {
      await writeFile(bad, text);
      await assert.rejects(ask(bad), (error: unknown) => {
        assert.ok(refusal('INVALID_ARGUMENT', words)(error), String(error));
        return !String(error).includes('Mustermann');
      });
    }
    const healthy = await exported();
    await writeFile(bad, '{"x3":1}');
    await assert.rejects(ask(bad, healthy), refusal('INVALID_ARGUMENT', /no row has the columns x1, x2, c/));
  });

  it('says that no agent runs', async () => {
    const nowhere = predictCommand({ output: 'text', file: rowsFile }, () => join(folder.path, 'nowhere'));
    await assert.rejects(nowhere, refusal('UNAVAILABLE', /no agent answers/));
  });

  it('agent.yaml: an endpoint that others reach needs a token', async () => {
    const file = join(folder.path, 'agent.yaml');
    const load = async (lines: string) => {
      await writeFile(file, `formatVersion: 1\ndataDir: ./data\nserving:\n${lines}`);
      return loadConfig({ config: file }, {}).serving;
    };
    assert.deepEqual(await load('  port: 8000\n'), {
      ...config,
      port: 8000,
      grpcPort: undefined,
      decisions: { retentionDays: 30, maximumBytes: 1024 ** 3, inputs: 'Digest' },
    });
    assert.deepEqual((await load('  decisions: { retentionDays: 2, inputs: None }\n')).decisions, {
      retentionDays: 2,
      maximumBytes: 1024 ** 3,
      inputs: 'None',
    });
    await assert.rejects(
      load('  decisions: { retentionDays: 0 }\n'),
      refusal('CONFIG_INVALID', /retentionDays/),
    );
    await assert.rejects(load('  host: 0.0.0.0\n'), refusal('CONFIG_INVALID', /serving\.tokenFile/));
    const open = await load('  host: 0.0.0.0\n  tokenFile: ./token\n');
    assert.equal(open.tokenFile, join(folder.path, 'token'));
    await assert.rejects(load('  port: 70000\n'), refusal('CONFIG_INVALID', /serving\.port/));
  });
});
