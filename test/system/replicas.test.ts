import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';
import type { BrokerConfig } from '@tributary/edge-agent/internal/broker-config.js';
import { parseStreamPipeline } from '@tributary/proto';

import { LocalFederation } from '../support/federation.js';
import { Mosquitto, mosquittoInstalled } from '../support/mosquitto.js';
import { localBroker, mqttParts } from '../support/mqtt-ends.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { Replica } from '../support/replica.js';
import { play } from '../support/stream-pipeline.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const PIPELINE = {
  apiVersion: 'tributary.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'sides' },
  spec: {
    model: { name: 'points', output: 'far' },
    source: { broker: 'local', topics: ['site/{bed}/points'], share: 'ward' },
    payload: {
      type: 'Json',
      columns: { x: 'x', y: 'y', color: 'color' },
      time: { type: 'Path', path: 't' },
      id: 'id',
    },
    key: '{bed}',
    result: { topic: 'out/{bed}' },
  },
};
const START_MS = 1_700_000_000_000;
/** Messages in 10 ms. */
const EVERY_TURN = 3;

interface Sent {
  readonly topic: string;
  readonly payload: Uint8Array;
}

const messageOf = (id: number): Sent => ({
  topic: `site/${String(id % 20)}/points`,
  payload: Buffer.from(
    JSON.stringify({ id, t: START_MS + id, x: (id % 200) / 100 - 1, y: 0.1, color: 'red' }),
  ),
});

/** Publishes steadily until it is told to stop. */
class Load {
  readonly sent: Sent[] = [];
  readonly #sink: MqttSink;
  readonly #from: number;
  readonly #confirmed: Promise<void>[] = [];
  readonly #done: Promise<void>;
  #stopped = false;

  /** `from`: number of the first message; a pipeline knows those again that it has seen. */
  constructor(sink: MqttSink, from = 0) {
    this.#sink = sink;
    this.#from = from;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    await Promise.all(this.#confirmed);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      for (let turn = 0; turn < EVERY_TURN; turn++) {
        const message = messageOf(this.#from + this.sent.length);
        this.sent.push(message);
        this.#confirmed.push(this.#sink.publish(message.topic, message.payload, { qos: 1 }));
      }
      await sleep(10);
    }
  }
}

/** Decisions that a single pipeline which nobody disturbs makes of the messages. */
function expected(messages: readonly Sent[]): ReadonlySet<string> {
  const { decisions } = play(
    parseStreamPipeline(PIPELINE),
    messages.map((sent) => ({ ...sent, properties: {}, arrivalMs: Date.now(), redelivered: false })),
    { flush: false },
  );
  return new Set(decisions.map(({ id }) => id));
}

/** Whether the broker knows a client id; it does not afterwards. */
async function hasSession(broker: BrokerConfig, clientId: string): Promise<boolean> {
  let present: unknown;
  const info = (fields: object): void => {
    // With MQTT 3.1.1 another connection follows, which ends the session.
    if ('sessionPresent' in fields) present ??= fields.sessionPresent;
  };
  const subscription = { topics: ['nothing'], qos: 1 } as const;
  const source = new MqttSource(
    { broker, clientId, subscription },
    { ...mqttParts, log: { ...mqttParts.log, info } },
  );
  await source.start(() => undefined);
  await source.leave();
  return present === true;
}

describe('replicas of a site at a real Mosquitto (needs mosquitto)', function () {
  this.timeout(180_000);
  let directory: TemporaryDirectory;
  let broker: Mosquitto;
  let federation: LocalFederation;
  let first: Replica;
  let second: Replica;
  let sink: MqttSink;
  let load: Load | undefined;
  const results = new Map<string, Record<string, unknown>>();
  const differing: string[] = [];
  const closers: (() => Promise<unknown>)[] = [];

  before(async function () {
    if (!mosquittoInstalled()) this.skip();
    directory = await temporaryDirectory();
    const brokerFolder = await temporaryDirectory();
    closers.push(() => brokerFolder.remove());
    broker = await Mosquitto.start(brokerFolder.path);
    closers.push(() => broker.leave());
    federation = await LocalFederation.start(join(directory.path, 'federation'));
    closers.push(() => federation.stop());
    const policy = { serving: { models: ['points'] } };
    await federation.addSite({ name: 'north', csv: pointsOf(1, 120).csv, dataset: 'points', policy });
    await federation.apply(pointsJob('one', { rounds: 1, minSites: 1 }));
    const config = {
      brokers: [{ name: 'local', url: `mqtt://127.0.0.1:${String(broker.port)}` }],
      pipelines: ['./pipeline.yaml'],
    };
    const files = { 'pipeline.yaml': JSON.stringify(PIPELINE) };
    [first, second] = (await Promise.all(
      ['first', 'second'].map((name) => Replica.join(federation, { name, site: 'north', config, files })),
    )) as [Replica, Replica];
    await federation.cliText('wait', '--for=condition=Complete', 'fj/one', '--timeout', '90s');
    await federation.cliText('rollout', 'set', 'points@1');
    for (const replica of [first, second]) {
      replica.start();
      closers.push(() => replica.stop());
    }
    const devices = localBroker(broker.port, 'V5');
    sink = new MqttSink({ broker: devices, clientId: 'devices' }, mqttParts);
    const consumer = new MqttSource(
      { broker: devices, clientId: 'consumer', subscription: { topics: ['out/#'], qos: 1 } },
      mqttParts,
    );
    closers.push(
      () => sink.close(),
      () => consumer.close(),
    );
    await consumer.start((message) => {
      const { latencyMs: _, ...body } = JSON.parse(Buffer.from(message.payload).toString()) as Record<
        string,
        unknown
      >;
      const id = String(body['decisionId']);
      const known = results.get(id);
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(body)) differing.push(id);
      results.set(id, body);
      message.acknowledge();
    });
  });

  after(async function () {
    await load?.stop();
    for (const close of closers.splice(0).reverse()) await close();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await (directory as TemporaryDirectory | undefined)?.remove();
  });

  beforeEach(() => {
    results.clear();
  });

  const running = (replica: Replica): Promise<true> =>
    eventually(
      'the pipeline of a replica to run',
      async () => {
        const status = await replica.status().catch(() => undefined);
        const one = status?.pipelines[0];
        return (one?.state === 'Running' && one.version === 1) || undefined;
      },
      60_000,
    );
  const answered = async (replica: Replica): Promise<number> =>
    (await replica.status()).pipelines[0]?.results ?? 0;
  const clientIdOf = async (replica: Replica): Promise<string> =>
    (await replica.clientIds()).find((id) => !id.endsWith('-out')) ?? '';

  async function eachAnsweredOnce({ sent }: Load): Promise<void> {
    const wanted = expected(sent);
    assert.equal(wanted.size, sent.length);
    await eventually('the results', () => results.size >= wanted.size || undefined, 30_000);
    await sleep(500);
    assert.deepEqual(new Set(results.keys()), wanted);
    assert.deepEqual(differing, []);
  }

  it('connect under names of their own, though they run on one machine', async () => {
    await Promise.all([running(first), running(second)]);
    const ids = [...(await first.clientIds()), ...(await second.clientIds())];
    assert.equal(ids.length, 4, ids.join());
    assert.equal(new Set(ids).size, 4, ids.join());
    assert.ok(ids.every((id) => id.startsWith('tributary-sides-')));
  });

  it('answer each message once, though one is killed under load and comes back', async () => {
    load = new Load(sink);
    await sleep(1_500);
    await first.stop('SIGKILL');
    const before = results.size;
    await sleep(1_000);
    assert.ok(results.size > before, 'the other goes on');
    first.start();
    await running(first);
    await sleep(500);
    await load.stop();
    await eachAnsweredOnce(load);
    assert.ok((await answered(first)) > 0);
    assert.ok((await answered(second)) > 0);
  });

  it('leave the group under load with `drain`: nothing is lost, and the broker forgets them', async () => {
    const clientId = await clientIdOf(second);
    load = new Load(sink, 1_000_000);
    await sleep(1_000);
    const drained = await second.command('drain');
    assert.equal(drained.code, 0, drained.stderr);
    assert.match(drained.stdout, /no broker keeps anything/);
    assert.deepEqual(await second.exited(), { code: 0, signal: null });
    await sleep(500);
    await load.stop();
    await eachAnsweredOnce(load);
    const local = localBroker(broker.port, 'V5');
    assert.equal(await hasSession(local, clientId), false);
    assert.match((await second.command('drain')).stderr, /UNAVAILABLE/);
    // What would be there without it.
    await first.stop();
    assert.equal(await hasSession(local, await clientIdOf(first)), true);
  });

  it('end their session with MQTT 3.1.1 too', async () => {
    const local = localBroker(broker.port, 'V3');
    const subscription = { topics: ['site/a'], qos: 1 } as const;
    for (const [end, stays] of [
      ['close', true],
      ['leave', false],
    ] as const) {
      const source = new MqttSource({ broker: local, clientId: end, subscription }, mqttParts);
      await source.start(() => undefined);
      await source[end]();
      assert.equal(await hasSession(local, end), stays, end);
    }
  });
});
