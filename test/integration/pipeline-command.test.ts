import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';
import { ModelDirectory } from '@tributary/edge-agent/internal/adapters/models/model-directory.js';
import { viewLetters } from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { keptLetters } from '@tributary/edge-agent/internal/app/streams/kept-letters.js';
import type { FullStatus } from '@tributary/edge-agent/internal/app/status.js';
import { ERROR_TABLE } from '@tributary/proto';
import { stringify } from 'yaml';

import { AedesBroker } from '../support/aedes-broker.js';
import { BINARIES, Daemon, runCommand, type Finished } from '../support/daemon.js';
import { localBroker, mqttParts } from '../support/mqtt-ends.js';
import { ScriptedCoordinator } from '../support/scripted-coordinator.js';
import { newModel, registeredModel } from '../support/served-model.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const T = 1_700_000_000_000;
const SPEC = {
  model: { name: 'trial', output: 'yes' },
  source: { broker: 'local', topics: ['site/{bed}/records'] },
  payload: {
    type: 'Json',
    columns: { x1: 'x1', x2: 'x2', c: 'c' },
    time: { type: 'Path', path: 't' },
    id: 'id',
  },
  key: '{bed}',
  result: { topic: 'out/{bed}/result' },
  alerts: [{ name: 'always', above: 0, topic: 'out/{bed}/alert' }],
  deadLetter: { topic: 'out/dead', keepBytes: 10_000_000 },
};
const document = (spec: object, name = 'records'): object => ({
  apiVersion: 'tributary.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name },
  spec: { ...SPEC, ...spec },
});

describe('pipelines of tributary-agent', function () {
  this.timeout(90_000);
  let coordinator: ScriptedCoordinator;
  let folder: TemporaryDirectory;
  let broker: AedesBroker;
  let sink: MqttSink;
  let consumer: MqttSource;
  let daemon: Daemon | undefined;
  let received: { readonly topic: string; readonly body: Record<string, unknown> }[];

  const at = (name: string): string => join(folder.path, name);
  const agent = (...args: readonly string[]): Promise<Finished> => runCommand(BINARIES.agent, args);
  const configured = (...args: readonly string[]): Promise<Finished> =>
    agent(...args, '--config', at('agent.yaml'));
  const run = (log: string): Daemon =>
    (daemon = new Daemon({
      script: BINARIES.agent,
      args: ['run', '--config', at('agent.yaml')],
      logFile: at(log),
    }));
  async function writeConfig(pipelines: readonly string[]): Promise<void> {
    const brokers = [{ name: 'local', url: `mqtt://127.0.0.1:${String(broker.port)}`, protocol: 'V3' }];
    const config = { formatVersion: 1, dataDir: './data', metricsPort: 0, brokers, pipelines };
    await writeFile(at('agent.yaml'), stringify(config));
  }
  const send = (body: string, bed = '7'): Promise<void> =>
    sink.publish(`site/${bed}/records`, Buffer.from(body), { qos: 1 });
  const record = (id: number): string => JSON.stringify({ id, t: T + id, x1: 0.5, x2: 1, c: 'red' });
  const on = (topic: string): Record<string, unknown>[] =>
    received.filter((one) => one.topic === topic).map(({ body }) => body);
  const running = (): Promise<FullStatus['pipelines'][number]> =>
    eventually('a running pipeline', async () => {
      const { code, stdout } = await configured('status', '-o', 'json');
      const [pipeline] = code === 0 ? (JSON.parse(stdout) as FullStatus).pipelines : [];
      return pipeline?.state === 'Running' ? pipeline : undefined;
    });

  before(async () => {
    broker = await AedesBroker.start();
    coordinator = await ScriptedCoordinator.start();
  });
  after(async () => {
    coordinator.stop();
    await broker.stop();
  });

  beforeEach(async () => {
    folder = await temporaryDirectory();
    received = [];
    sink = new MqttSink({ broker: localBroker(broker.port, 'V3'), clientId: 'devices' }, mqttParts);
    consumer = new MqttSource(
      {
        broker: localBroker(broker.port, 'V3'),
        clientId: `consumer-${String(performance.now())}`,
        subscription: { topics: ['out/#'], qos: 1 },
      },
      mqttParts,
    );
    await consumer.start((message) => {
      const body = JSON.parse(Buffer.from(message.payload).toString()) as Record<string, unknown>;
      received.push({ topic: message.topic, body });
      message.acknowledge();
    });
    await mkdir(at('data'));
    await writeFile(at('token'), coordinator.tokenText());
    await writeFile(at('records.yaml'), stringify(document({})));
    await writeConfig(['records.yaml']);
    assert.equal((await configured('join', '--token-file', at('token'))).code, 0);
  });

  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    await consumer.close();
    await sink.close();
    await folder.remove();
  });

  it('answer messages of a broker; status, metrics and results say so', async () => {
    const models = await ModelDirectory.open(at('data/models'));
    await models.put(newModel(registeredModel({ version: 4 })));
    await models.point('trial', { current: 4 });
    run('agent.log');
    await running();
    for (const id of [1, 2]) await send(record(id));
    await send('{"secret":');
    await eventually('what follows', () => (received.length >= 4 ? true : undefined));
    const [first = {}, second = {}] = on('out/7/result');
    assert.equal(on('out/7/result').length, 2);
    assert.match(String(first['decisionId']), /^[0-9a-f]{32}$/);
    assert.deepEqual([first['pipeline'], first['model'], first['version']], ['records', 'trial', 4]);
    assert.ok(Number(first['score']) > 0 && Number(first['score']) < 1);
    assert.deepEqual(second['window'], { startMs: T + 2, endMs: T + 2 });
    assert.deepEqual(
      on('out/7/alert').map(({ alert, type, decisionId }) => [alert, type, decisionId]),
      [['always', 'Raised', first['decisionId']]],
    );
    assert.equal(on('out/dead')[0]?.['reason'], 'NotJson');

    const status = await eventually('the messages to be done with', async () => {
      const now = await running();
      return now.completed === 3 ? now : undefined;
    });
    const { messages, results, alerts, deadLetters, version, outstanding } = status;
    assert.deepEqual(
      { messages, results, alerts, deadLetters, version, outstanding },
      { messages: 3, results: 2, alerts: 1, deadLetters: { NotJson: 1 }, version: 4, outstanding: 0 },
    );
    assert.match((await configured('status')).stdout, /records.*Running|Running.*records/);
    const metrics = await new Promise<string>((resolve, reject) => {
      request({ socketPath: at('data/run/agent.sock'), path: '/metrics' }, (response) => {
        resolve(text(response));
      })
        .once('error', reject)
        .end();
    });
    assert.match(metrics, /^tributary_agent_stream_results_total\{pipeline="records"\} 2$/m);
    assert.match(
      metrics,
      /^tributary_agent_stream_dead_letters_total\{pipeline="records",reason="NotJson"\} 1$/m,
    );

    const listed = await configured('pipeline', 'letters');
    assert.match(listed.stdout, /^1-1 {2}records {2}\S+Z {2}NotJson {2}10 bytes {2}site\/7\/records\n$/);
    assert.equal(
      (await configured('pipeline', 'letters', 'records', '--payload', '1-1')).stdout,
      '{"secret":',
    );
    const to = at('payload');
    assert.equal((await configured('pipeline', 'letters', '--payload', '1-1', '--to', to)).code, 0);
    assert.equal(await readFile(to, 'utf8'), '{"secret":');
    const gone = await configured('pipeline', 'letters', '--payload', '9-9');
    assert.equal(gone.code, ERROR_TABLE.NOT_FOUND.exit);
    assert.equal((await configured('pipeline', 'letters', 'other')).code, ERROR_TABLE.NOT_FOUND.exit);
    const [sealed = ''] = await readdir(at('data/dead-letters/records'));
    assert.ok(!(await readFile(join(at('data/dead-letters/records'), sealed))).includes('secret'));
    assert.ok(!(await (daemon as Daemon).log()).includes('secret'));
    assert.deepEqual(await daemon?.stop(), { code: 0, signal: null });
  });

  const broken: readonly (readonly [
    what: string,
    files: Readonly<Record<string, object>>,
    message: RegExp,
  ])[] = [
    ['a field that is wrong', { 'a.yaml': document({ key: '{cot}' }) }, /a\.yaml: .*spec\.key/],
    [
      'a broker that agent.yaml does not name',
      { 'a.yaml': document({ source: { broker: 'other', topics: ['a/{bed}'] } }) },
      /a\.yaml: .*spec\.source\.broker/,
    ],
    [
      'pipelines that go round',
      {
        'a.yaml': document(
          { source: { broker: 'local', topics: ['a/{bed}'] }, result: { topic: 'b/{bed}' } },
          'a',
        ),
        'b.yaml': document(
          { source: { broker: 'local', topics: ['b/{bed}'] }, deadLetter: { topic: 'a/x' } },
          'b',
        ),
      },
      /b\.yaml: what b publishes comes back to it by spec\.result\.topic of a/,
    ],
  ];
  for (const [what, files, message] of broken)
    it(`end with CONFIG_INVALID, naming file and field, over ${what}`, async () => {
      for (const [name, content] of Object.entries(files)) await writeFile(at(name), stringify(content));
      await writeConfig(Object.keys(files));
      const { code, stderr } = await configured('run');
      assert.equal(code, ERROR_TABLE.CONFIG_INVALID.exit, stderr);
      assert.match(stderr, message);
    });

  it('are checked without an agent, with what they make of a payload', async () => {
    const [file, payload] = [at('records.yaml'), at('payload.json')];
    const check = (...args: readonly string[]): Promise<Finished> =>
      agent('pipeline', 'check', '-f', file, ...args);
    assert.match((await check()).stdout, /^Pipeline records: reads site\/\{bed\}\/records of broker local/);
    await writeFile(payload, record(1));
    const told = await check('--payload', payload, '--topic', 'site/9/records');
    assert.match(
      told.stdout,
      /1 item of 1 key:\n {2}9 {2}2023-11-14T22:13:20\.001Z {2}c="red" x1=0\.5 x2=1\n$/,
    );
    const { stdout } = await check('--payload', payload, '-o', 'json');
    const { items } = JSON.parse(stdout) as { items: readonly Record<string, unknown>[] };
    assert.deepEqual([items[0]?.['key'], items[0]?.['startMs']], ['bed', T + 1]);
    await writeFile(payload, '{"secret":');
    const bad = await check('--payload', payload);
    assert.equal(bad.code, ERROR_TABLE.INVALID_ARGUMENT.exit);
    assert.match(bad.stderr, /would become a dead letter: NotJson/);
    assert.ok(!bad.stderr.includes('secret'));
    const strange = await check('--payload', payload, '--topic', 'elsewhere');
    assert.match(strange.stderr, /UnknownTopic[^]*--topic/);
    await writeFile(
      file,
      stringify(document({ source: { broker: 'other', topics: ['site/{bed}/records'] } })),
    );
    assert.equal((await check()).code, 0);
    const fits = await check('--config', at('agent.yaml'));
    assert.equal(fits.code, ERROR_TABLE.CONFIG_INVALID.exit);
    assert.match(fits.stderr, /no broker other; use one of local/);
  });

  it('killed while dead letters are written lose none of them, and what is there can be read', async () => {
    run('first.log');
    await eventually('the subscription', async () => {
      const { stdout } = await configured('status', '-o', 'json');
      return stdout.includes('"state":"Running"') ? true : undefined;
    });
    const count = 1_500;
    const sent: Promise<void>[] = [];
    for (let index = 0; index < count; index++) sent.push(send(`{"number":${String(index)}`));
    for (let kills = 0; kills < 3; kills++) {
      const before = (await readdir(at('data/dead-letters/records'))).length;
      await eventually('letters', async () =>
        (await readdir(at('data/dead-letters/records'))).length > before ? true : undefined,
      );
      await daemon?.stop('SIGKILL');
      run(`again-${String(kills)}.log`);
      if (kills === 2) break;
      await eventually('the agent', async () => ((await configured('status')).code === 0 ? true : undefined));
      await Promise.all(Array.from({ length: 50 }, (_, index) => send(`{"more":${String(index)}`)));
    }
    await Promise.all(sent);
    const wanted = new Set([
      ...Array.from({ length: count }, (_, index) => `{"number":${String(index)}`),
      ...Array.from({ length: 50 }, (_, index) => `{"more":${String(index)}`),
    ]);
    const kept = async (): Promise<ReadonlySet<string>> => {
      const found = new Set<string>();
      for (const { files } of await viewLetters(at('data'), at('data/seal.key')))
        for await (const { payload } of keptLetters(files)) found.add(Buffer.from(payload).toString());
      return found;
    };
    await eventually(
      'all of them',
      async () => ((await kept()).size >= wanted.size ? true : undefined),
      40_000,
    );
    assert.deepEqual(await kept(), wanted);
    await eventually('no message to be left', async () =>
      (await running()).outstanding === 0 ? true : undefined,
    );
    const left = await readdir(at('data/dead-letters/records'));
    assert.deepEqual(
      left.filter((name) => name.endsWith('.part')),
      [],
    );
  });
});
