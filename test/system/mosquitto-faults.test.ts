import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';
import type { BrokerConfig } from '@tributary/edge-agent/internal/broker-config.js';
import type { InboundMessage, MessageSink } from '@tributary/edge-agent/internal/streams-ports.js';
import type { ErrorCode, TributaryError } from '@tributary/proto';

import { Mosquitto, mosquittoInstalled } from '../support/mosquitto.js';
import { localBroker, mqttParts } from '../support/mqtt-ends.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const PASSWORD = 'correct horse battery';
const MIB = 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

describe('MQTT ends at a real Mosquitto (needs mosquitto and openssl)', function () {
  this.timeout(120_000);
  let folder: TemporaryDirectory;
  let broker: Mosquitto;
  const opened: { close(): Promise<void> }[] = [];
  const logged: string[] = [];
  const note = (fields: object, message: string): unknown => logged.push(JSON.stringify([fields, message]));
  const parts = { ...mqttParts, log: { debug: note, info: note, warn: note, error: note } };

  beforeEach(async function () {
    if (!mosquittoInstalled()) this.skip();
    folder = await temporaryDirectory();
    logged.length = 0;
  });

  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
    await (broker as Mosquitto | undefined)?.leave();
    await (folder as TemporaryDirectory | undefined)?.remove();
  });

  const sinkOf = (config: BrokerConfig, clientId = 'sink'): MqttSink => {
    const sink = new MqttSink({ broker: config, clientId }, parts);
    opened.push(sink);
    return sink;
  };
  const sourceOf = (config: BrokerConfig, topics = ['ward/#'], receiveMaximum?: number): MqttSource => {
    const subscription = { topics, qos: 1 } as const;
    const source = new MqttSource(
      { broker: config, clientId: 'ward', subscription, ...(receiveMaximum && { receiveMaximum }) },
      parts,
    );
    opened.push(source);
    return source;
  };
  const refusedWith = (end: MqttSink | MqttSource, code: ErrorCode): Promise<TributaryError> =>
    eventually(code, () => {
      const { status } = end;
      return status.state === 'Waiting' && status.error.code === code ? status.error : undefined;
    });
  const text = ({ payload }: InboundMessage): string => Buffer.from(payload).toString();

  for (const protocol of ['V3', 'V5'] as const) {
    it(`${protocol}: loses nothing over restarts in the middle of unacknowledged messages`, async () => {
      broker = await Mosquitto.start(folder.path);
      const config = localBroker(broker.port, protocol);
      const source = sourceOf(config);
      const done = new Set<string>();
      let unmarked = 0;
      await source.start((message) => {
        const one = text(message);
        if (done.has(one) && !message.redelivered) unmarked += 1;
        // Late, and in another order than that of arrival.
        setTimeout(
          () => {
            done.add(one);
            message.acknowledge();
          },
          (Number(one) * 7) % 40,
        );
      });
      const sink = sinkOf(config);
      const publish = (from: number): Promise<unknown> =>
        Promise.all(
          Array.from({ length: 400 }, (_, index) =>
            sink.publish('ward/1', Buffer.from(String(from + index)), { qos: 1 }),
          ),
        );
      const published: Promise<unknown>[] = [];
      for (let restart = 0; restart < 5; restart += 1) {
        published.push(publish(400 * restart));
        await sleep(15);
        await broker.leave();
        published.push(publish(400 * (5 + restart)));
        await broker.comeBack();
        await eventually(
          'the connections',
          () => (source.status.state === 'Connected' && sink.status.state === 'Connected') || undefined,
        );
      }
      await Promise.all(published);
      await eventually('all messages', () => done.size === 4_000 || undefined);
      await eventually('the last acknowledgements', () => source.unacknowledged === 0 || undefined);
      // What the sink sends again after a cut is a new message to the broker, so it may come unmarked.
      assert.ok(unmarked <= 5 * 1_024, String(unmarked));
    });

    it(`${protocol}: 10,000 messages into a paused source stay with the broker`, async () => {
      broker = await Mosquitto.start(folder.path);
      const config = localBroker(broker.port, protocol);
      const source = sourceOf(config, ['ward/#'], 100);
      let received = 0;
      await source.start((message) => {
        received += 1;
        message.acknowledge();
      });
      source.pause();
      const sink = sinkOf(config);
      const payload = Buffer.alloc(4_096, 7);
      await sink.publish('ward/1', payload, { qos: 1 });
      const before = await memory();
      for (let batch = 0; batch < 20; batch += 1)
        await Promise.all(Array.from({ length: 500 }, () => sink.publish('ward/1', payload, { qos: 1 })));
      await sleep(500);
      const grown = (await memory()) - before;
      assert.equal(received, 0);
      assert.ok(grown < 12 * MIB, `${String(grown)} bytes for 40 MB`);
      source.resume();
      await eventually('all messages', () => received === 10_001 || undefined);
    });
  }

  it('V3: counts and acknowledges what is too large to receive, and goes on', async () => {
    broker = await Mosquitto.start(folder.path);
    const config = localBroker(broker.port, 'V3');
    const source = sourceOf(config);
    const received: string[] = [];
    await source.start((message) => {
      received.push(text(message).slice(0, 5));
      message.acknowledge();
    });
    const sink: MessageSink = sinkOf(config);
    await sink.publish('ward/1', Buffer.alloc(3 * MIB, 7), { qos: 1 });
    await sink.publish('ward/1', Buffer.from('small'), { qos: 1 });
    await eventually('the next message', () => received.length === 1 || undefined);
    assert.deepEqual([received, source.refused], [['small'], 1]);
    await broker.leave();
    await broker.comeBack();
    await eventually('the connection', () => source.status.state === 'Connected' || undefined);
    await sleep(300);
    assert.deepEqual([received, source.refused], [['small'], 1]);
  });

  it('connects with TLS, a client certificate and a password, and only with them', async () => {
    certificates(folder.path);
    const at = (name: string): string => join(folder.path, name);
    spawnSync('mosquitto_passwd', ['-b', '-c', at('users'), 'agent', PASSWORD]);
    for (const name of ['users', 'server.key', 'server.pem', 'ca.pem']) await chmod(at(name), 0o644);
    broker = await Mosquitto.start(folder.path, [
      `cafile ${at('ca.pem')}`,
      `certfile ${at('server.pem')}`,
      `keyfile ${at('server.key')}`,
      'require_certificate true',
      `password_file ${at('users')}`,
      'allow_anonymous false',
    ]);
    await writeFile(at('password'), `${PASSWORD}\n`);
    await writeFile(at('wrong'), 'a wrong guess\n');
    const config: BrokerConfig = {
      ...localBroker(broker.port, 'V5'),
      host: 'localhost',
      tls: true,
      username: 'agent',
      passwordFile: at('password'),
      caFile: at('ca.pem'),
      certFile: at('client.pem'),
      keyFile: at('client.key'),
    };
    const source = sourceOf(config);
    const received: string[] = [];
    await source.start((message) => received.push(text(message)));
    await sinkOf(config).publish('ward/1', Buffer.from('secret line'), { qos: 1 });
    await eventually('the message', () => received.length === 1 || undefined);

    const wrong = await refusedWith(
      sinkOf({ ...config, passwordFile: at('wrong') }, 'b'),
      'PERMISSION_DENIED',
    );
    assert.match(wrong.message, /passwordFile/);
    const { certFile, keyFile, ...bare } = config;
    assert.ok(certFile !== undefined && keyFile !== undefined);
    await refusedWith(sinkOf(bare, 'c'), 'UNAVAILABLE');
    const { caFile, ...untrusting } = config;
    assert.ok(caFile !== undefined);
    const distrust = await refusedWith(sinkOf(untrusting, 'd'), 'UNAVAILABLE');
    assert.match(distrust.message, /CERT|SIGNED|VERIFY/);
    await refusedWith(sinkOf({ ...config, keyFile: at('absent') }, 'e'), 'CONFIG_INVALID');
    await refusedWith(sinkOf({ ...config, keyFile: at('ca.pem') }, 'f'), 'CONFIG_INVALID');
    const other = { ...config, host: '127.0.0.1' };
    assert.match((await refusedWith(sinkOf(other, 'g'), 'UNAVAILABLE')).message, /ALTNAME/);
    for (const secret of [PASSWORD, 'a wrong guess', 'PRIVATE', 'secret line'])
      assert.ok(!logged.some((line) => line.includes(secret)), secret);
    assert.ok(logged.length > 0);
  });

  it('says who is not allowed to subscribe', async () => {
    const rules = join(folder.path, 'rules');
    await writeFile(rules, 'topic readwrite open/#\n');
    await chmod(rules, 0o644);
    broker = await Mosquitto.start(folder.path, [`acl_file ${rules}`]);
    const config = localBroker(broker.port, 'V5');
    const received: string[] = [];
    const source = sourceOf(config, ['open/#']);
    await source.start((message) => received.push(message.topic));
    const sink = sinkOf(config);
    await assert.rejects(
      sink.publish('shut/1', Buffer.from('x'), { qos: 1 }),
      (error: TributaryError) => error.code === 'PERMISSION_DENIED',
    );
    await sink.publish('open/1', Buffer.from('x'), { qos: 1 });
    await eventually('the message', () => received.length === 1 || undefined);
  });

  it('lets the broker publish the last will of who vanishes, and not of who takes leave', async () => {
    broker = await Mosquitto.start(folder.path);
    const config = localBroker(broker.port, 'V5');
    const source = sourceOf(config, ['will/#']);
    const received: string[] = [];
    await source.start((message) => received.push(text(message)));
    const will = (name: string) => ({
      topic: 'will/agent',
      payload: Buffer.from(name),
      qos: 1 as const,
      retain: false,
    });
    const polite = new MqttSink({ broker: config, clientId: 'x', will: will('polite') }, parts);
    await polite.publish('a', Buffer.from('x'), { qos: 1 });
    await polite.close();
    // The second of one client id drives the first out.
    const first = new MqttSink({ broker: config, clientId: 'y', will: will('vanished') }, parts);
    opened.push(first);
    await first.publish('a', Buffer.from('x'), { qos: 1 });
    sinkOf(config, 'y');
    await eventually('the last will', () => received.includes('vanished') || undefined);
    assert.ok(!received.includes('polite'));
  });

  /** A CA, a server certificate for localhost and a client certificate. */
  function certificates(path: string): void {
    const run = (...args: string[]): void => {
      const { status, stderr } = spawnSync('openssl', args, { cwd: path, encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    };
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    run('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Test CA', '-days', '2');
    for (const [name, subject] of [
      ['server', '/CN=localhost'],
      ['client', '/CN=agent'],
    ] as const) {
      const extension = name === 'server' ? ['-addext', 'subjectAltName=DNS:localhost'] : [];
      run('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject, ...extension);
      const issue = ['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '2'];
      run(...issue, '-CAcreateserial', '-copy_extensions', 'copy', '-out', `${name}.pem`);
    }
  }

  /** Bytes that live here, and in buffers. */
  async function memory(): Promise<number> {
    collectGarbage();
    // Buffers are freed in the turns after.
    await sleep(100);
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  }
});
