import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';
import { LIMITS, parseStreamPipeline } from '@tributary/proto';

import { repositoryRoot } from '../support/daemon.js';
import { Mosquitto, mosquittoInstalled } from '../support/mosquitto.js';
import { localBroker, mqttParts } from '../support/mqtt-ends.js';
import { play } from '../support/stream-pipeline.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const AGENT = join(import.meta.dirname, '../support/stream-agent.js');
const ECG = join(repositoryRoot, 'test/data/ecg_mitdb208_360hz.u16le.gz');
const START_MS = 1_700_000_000_000;
/** 0.1 s at 360 Hz. */
const SAMPLES = 36;

const beats = {
  apiVersion: 'tributary.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'beats' },
  spec: {
    source: { broker: 'local', topics: ['ward/{bed}/ecg/{at}'] },
    payload: {
      type: 'Samples',
      encoding: 'U16Le',
      channels: ['lead'],
      rateHz: 360,
      time: { type: 'Capture', capture: 'at' },
    },
    key: '{bed}',
    window: {
      type: 'Event',
      trigger: { type: 'RPeak', column: 'lead', beforeMs: 250, afterMs: 400 },
      reduce: [
        { column: 'beat', from: 'lead', function: 'Series' },
        { column: 'interval', from: 'lead', function: 'Interval' },
      ],
    },
    result: { topic: 'out/beats/{bed}' },
  },
};

const records = {
  apiVersion: 'tributary.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'records' },
  spec: {
    model: { name: 'trial', output: 'yes' },
    source: { broker: 'local', topics: ['site/{bed}/records'] },
    payload: {
      type: 'Json',
      columns: { x1: 'x1', x2: 'x2', c: 'c' },
      time: { type: 'Path', path: 't' },
      id: 'id',
    },
    key: '{bed}',
    result: { topic: 'out/records/{bed}' },
  },
};

interface Sent {
  readonly topic: string;
  readonly payload: Uint8Array;
}

function ecgMessages(beds: readonly string[], seconds: number): readonly Sent[] {
  const bytes = gunzipSync(readFileSync(ECG));
  const messages: Sent[] = [];
  for (let index = 0; index < seconds * 10; index++)
    for (const bed of beds)
      messages.push({
        topic: `ward/${bed}/ecg/${String(START_MS + index * 100)}`,
        payload: bytes.subarray(index * SAMPLES * 2, (index + 1) * SAMPLES * 2),
      });
  return messages;
}

const recordMessages = (count: number): readonly Sent[] =>
  Array.from({ length: count }, (_, index) => ({
    topic: `site/${String(index % 50)}/records`,
    payload: Buffer.from(
      JSON.stringify({ id: index, t: START_MS + index, x1: index / count, x2: 1, c: 'red' }),
    ),
  }));

describe('streams of an agent at a real Mosquitto (needs mosquitto)', function () {
  this.timeout(240_000);
  let folder: TemporaryDirectory;
  let brokerFolder: TemporaryDirectory;
  let broker: Mosquitto;
  let agent: ChildProcess | undefined;
  let sink: MqttSink;
  let consumer: MqttSource;
  let received: Map<string, Record<string, unknown>>;
  let doubled = 0;
  const differing: string[] = [];

  beforeEach(async function () {
    if (!mosquittoInstalled()) this.skip();
    folder = await temporaryDirectory();
    brokerFolder = await temporaryDirectory();
    broker = await Mosquitto.start(brokerFolder.path);
    sink = new MqttSink({ broker: localBroker(broker.port, 'V5'), clientId: 'devices' }, mqttParts);
    consumer = new MqttSource(
      {
        broker: localBroker(broker.port, 'V5'),
        clientId: 'consumer',
        subscription: { topics: ['out/#'], qos: 1 },
      },
      mqttParts,
    );
    received = new Map();
    doubled = 0;
    differing.length = 0;
    await consumer.start((message) => {
      const { latencyMs: _, ...body } = JSON.parse(Buffer.from(message.payload).toString()) as Record<
        string,
        unknown
      >;
      const id = String(body['decisionId']);
      const known = received.get(id);
      if (known !== undefined) {
        doubled += 1;
        if (JSON.stringify(known) !== JSON.stringify(body)) differing.push(id);
      }
      received.set(id, body);
      message.acknowledge();
    });
  });

  afterEach(async () => {
    agent?.kill('SIGKILL');
    await (consumer as MqttSource | undefined)?.close();
    await (sink as MqttSink | undefined)?.close();
    await (broker as Mosquitto | undefined)?.leave();
    await (brokerFolder as TemporaryDirectory | undefined)?.remove();
    await (folder as TemporaryDirectory | undefined)?.remove();
  });

  async function startAgent(protocol: 'V3' | 'V5', documents: readonly object[]): Promise<void> {
    const files: string[] = [];
    for (const [index, document] of documents.entries()) {
      const file = join(folder.path, `pipeline-${String(index)}.yaml`);
      await writeFile(file, JSON.stringify(document));
      files.push(file);
    }
    const log = openSync(join(folder.path, 'agent.log'), 'a');
    agent = fork(AGENT, [folder.path, String(broker.port), protocol, ...files], {
      stdio: ['ignore', log, log, 'ipc'],
    });
    await Promise.race([
      once(agent, 'message'),
      once(agent, 'exit').then(() => {
        throw new Error(`the agent ended: ${readFileSync(join(folder.path, 'agent.log'), 'utf8')}`);
      }),
    ]);
  }

  async function killAgent(): Promise<void> {
    const child = agent;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /**
   * Publishes in order, `every` messages a turn, and does between what `trouble` says at `times` even moments. Waits
   * while the publisher's own queue is half full: a broker that comes back late on a busy machine is no fault.
   */
  async function publish(
    messages: readonly Sent[],
    times: number,
    trouble: () => Promise<void>,
    every = 20,
  ): Promise<void> {
    const confirmed: Promise<void>[] = [];
    const step = Math.ceil(messages.length / (times + 1));
    for (const [index, { topic, payload }] of messages.entries()) {
      confirmed.push(sink.publish(topic, payload, { qos: 1 }));
      if (index % every === every - 1) await sleep(2);
      while (sink.queued >= LIMITS.sinkMessages / 2) await sleep(20);
      if (index % step === step - 1 && index < messages.length - 1) await trouble();
    }
    await Promise.all(confirmed);
  }

  /** Decisions of an uninterrupted run over the same messages. */
  function expected(document: object, messages: readonly Sent[]): ReadonlyMap<string, unknown> {
    const { decisions } = play(
      parseStreamPipeline(document),
      messages.map((sent) => ({ ...sent, properties: {}, arrivalMs: Date.now(), redelivered: false })),
      { flush: false },
    );
    return new Map(decisions.map(({ id, row }) => [id, row]));
  }

  const arrived = (count: number): Promise<boolean> =>
    eventually(`${String(count)} results`, () => (received.size >= count ? true : undefined), 20_000);

  const troubles = [
    [
      'kill -9 of the agent',
      async () => {
        await killAgent();
        await startAgent('V5', [beats, records]);
      },
    ],
    [
      'a restart of the broker',
      async () => {
        await broker.leave();
        await broker.comeBack();
      },
    ],
  ] as const;

  for (const [name, trouble] of troubles) {
    it(`${name}, five times under load: five minutes of ECG give the beats of an uninterrupted run, each once`, async () => {
      const messages = ecgMessages(['1', '2'], 300);
      const wanted = expected(beats, messages);
      assert.ok(wanted.size > 800, `${String(wanted.size)} beats of two beds`);
      await startAgent('V5', [beats, records]);
      await publish(messages, 5, trouble);
      await arrived(wanted.size);
      await sleep(500);
      assert.equal(received.size, wanted.size);
      for (const [id, row] of wanted)
        assert.deepEqual(received.get(id)?.['row'], JSON.parse(JSON.stringify(row)));
      assert.deepEqual(differing, []);
    });

    it(`${name}, five times under load: each record has one decision`, async () => {
      const messages = recordMessages(20_000);
      const wanted = expected(records, messages);
      await startAgent('V5', [beats, records]);
      await publish(messages, 5, trouble, 100);
      await arrived(wanted.size);
      await sleep(500);
      assert.equal(wanted.size, 20_000);
      assert.deepEqual(new Set(received.keys()), new Set(wanted.keys()));
      assert.deepEqual(differing, []);
      for (const body of received.values()) assert.equal(typeof body['score'], 'number');
    });
  }

  it('MQTT 3.1.1 loses nothing over kill -9 either, and a broker that sends 20 at a time is no standstill', async () => {
    const messages = ecgMessages(['1'], 60);
    const wanted = expected(beats, messages);
    await startAgent('V3', [beats]);
    await publish(messages, 2, async () => {
      await killAgent();
      await startAgent('V3', [beats]);
    });
    await arrived(wanted.size);
    assert.deepEqual(new Set(received.keys()), new Set(wanted.keys()));
  });

  it('answers what it has read when it is told to stop: nothing comes twice', async () => {
    const messages = recordMessages(5_000);
    await startAgent('V5', [records]);
    await publish(messages, 3, async () => {
      const child = agent as ChildProcess;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null]);
      await startAgent('V5', [records]);
    });
    await arrived(5_000);
    await sleep(300);
    assert.equal(doubled, 0);
  });
});
