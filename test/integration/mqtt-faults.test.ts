import assert from 'node:assert/strict';

import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';
import { systemClock } from '@tributary/edge-agent/internal/adapters/system/clock.js';
import type { ErrorCode } from '@tributary/proto';
import type { IConnackPacket, Packet } from 'mqtt-packet';

import { localBroker, mqttParts } from '../support/mqtt-ends.js';
import { refusal } from '../support/refusal.js';
import { ScriptedBroker } from '../support/scripted-broker.js';
import { eventually } from '../support/waiting.js';

const accepted = (properties: IConnackPacket['properties'] = {}): IConnackPacket => ({
  cmd: 'connack',
  reasonCode: 0,
  sessionPresent: false,
  properties,
});
const granted = (packet: Packet, codes: number[] = [1]): readonly Packet[] =>
  packet.cmd === 'subscribe' ? [{ cmd: 'suback', messageId: packet.messageId ?? 0, granted: codes }] : [];
const publish = (topic: string, qos: 0 | 1 | 2, messageId: number): Packet => ({
  cmd: 'publish',
  topic,
  payload: 'x',
  qos,
  dup: false,
  retain: false,
  messageId,
});

describe('MQTT ends at a broker that misbehaves', () => {
  let broker: ScriptedBroker;
  const opened: { close(): Promise<void> }[] = [];

  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
    await broker.stop();
  });

  const script = async (answer: Parameters<typeof ScriptedBroker.start>[1]): Promise<void> => {
    broker = await ScriptedBroker.start(5, answer);
  };
  const sourceOf = (receiveMaximum = 10): MqttSource => {
    const source = new MqttSource(
      {
        broker: localBroker(broker.port, 'V5'),
        clientId: 'ward',
        subscription: { topics: ['a'], qos: 1 },
        receiveMaximum,
      },
      mqttParts,
    );
    opened.push(source);
    return source;
  };
  const sinkOf = (): MqttSink => {
    const sink = new MqttSink({ broker: localBroker(broker.port, 'V5'), clientId: 'sink' }, mqttParts);
    opened.push(sink);
    return sink;
  };
  const begin = (source: MqttSource): void => {
    source.start(() => undefined).catch(refusal('SHUTTING_DOWN'));
  };
  const waitsWith = (end: MqttSource | MqttSink, code: ErrorCode, text?: RegExp): Promise<true> =>
    eventually(code, () => {
      const { status } = end;
      return (status.state === 'Waiting' && refusal(code, text)(status.error)) || undefined;
    });

  const greetings: [string, (packet: Packet) => readonly (Packet | Buffer | 'Cut')[], ErrorCode, RegExp][] = [
    ['is busy', () => [{ ...accepted(), reasonCode: 0x89 }], 'UNAVAILABLE', /busy/],
    ['knows no such user', () => [{ ...accepted(), reasonCode: 0x86 }], 'UNAUTHENTICATED', /passwordFile/],
    ['answers something else', () => [{ cmd: 'pingresp' }], 'INVALID_ARGUMENT', /CONNACK/],
    [
      'answers in another language',
      () => [Buffer.from('HTTP/1.1 400 Bad Request\r\n'.repeat(5))],
      'INVALID_ARGUMENT',
      /./,
    ],
    ['cuts', () => ['Cut'], 'UNAVAILABLE', /closed|ECONNRESET/],
    [
      'has somebody else of that name',
      ({ cmd }) => (cmd === 'connect' ? [accepted(), { cmd: 'disconnect', reasonCode: 0x8e }] : []),
      'CONFLICT',
      /clientId/,
    ],
  ];
  for (const [what, answer, code, text] of greetings) {
    it(`wait and say ${code} where it ${what}`, async () => {
      await script(answer);
      await waitsWith(sinkOf(), code, text);
    });
  }

  const refusals: [string, number, ErrorCode][] = [
    ['refuses a subscription', 0x87, 'PERMISSION_DENIED'],
    ['grants less than was asked for', 0, 'CONFIG_INVALID'],
    ['knows no shared subscriptions', 0x9e, 'INVALID_ARGUMENT'],
  ];
  for (const [what, suback, code] of refusals) {
    it(`wait and say ${code} where it ${what}`, async () => {
      await script((packet) => (packet.cmd === 'connect' ? [accepted()] : granted(packet, [suback])));
      const source = sourceOf();
      begin(source);
      await waitsWith(source, code);
    });
  }

  it('reject what the broker refuses, and what it has said that it does not take', async () => {
    await script((packet) => {
      if (packet.cmd === 'connect') return [accepted({ maximumPacketSize: 1_000, retainAvailable: false })];
      if (packet.cmd !== 'publish') return [];
      const reasonCode = packet.topic === 'shut' ? 0x97 : 0x10;
      return [{ cmd: 'puback', messageId: packet.messageId ?? 0, reasonCode }];
    });
    const sink = sinkOf();
    const send = (topic: string, bytes: number, retain = false): Promise<void> =>
      sink.publish(topic, new Uint8Array(bytes), { qos: 1, retain });
    await assert.rejects(send('shut', 1), refusal('OVERLOADED'));
    await assert.rejects(send('a', 2_000), refusal('LIMIT_EXCEEDED', /1000 bytes/));
    await assert.rejects(send('a', 1, true), refusal('INVALID_ARGUMENT', /retain/));
    await send('a', 1);
    assert.equal(sink.queued, 0);
  });

  it('send no more unanswered messages than the broker takes', async () => {
    const ids: number[] = [];
    await script((packet) => {
      if (packet.cmd === 'connect') return [accepted({ receiveMaximum: 2 })];
      if (packet.cmd === 'publish') ids.push(packet.messageId ?? 0);
      // The second answers for the two.
      return ids.length === 2
        ? ids.splice(0).map((messageId) => ({ cmd: 'puback', messageId, reasonCode: 0 }) as const)
        : [];
    });
    const sink = sinkOf();
    await Promise.all(Array.from({ length: 6 }, () => sink.publish('a', new Uint8Array(1), { qos: 1 })));
    assert.equal(sink.queued, 0);
  });

  it('publish again what was not answered before a cut', async () => {
    let cuts = 0;
    await script((packet) => {
      if (packet.cmd === 'connect') return [accepted()];
      if (packet.cmd !== 'publish') return [];
      if (cuts === 0) {
        cuts += 1;
        return ['Cut'];
      }
      return [{ cmd: 'puback', messageId: packet.messageId ?? 0, reasonCode: 0 }];
    });
    await sinkOf().publish('a', new Uint8Array(1), { qos: 1 });
    assert.equal(broker.received.filter(({ cmd }) => cmd === 'publish').length, 2);
  });

  it('end a connection on which comes what was not asked for', async () => {
    const sent: Packet[] = [publish('a', 2, 7), publish('', 1, 7), { cmd: 'puback', messageId: 7 }];
    for (const packet of sent) {
      await script((given) => (given.cmd === 'connect' ? [accepted(), packet] : granted(given)));
      const source = sourceOf();
      begin(source);
      await waitsWith(source, 'INVALID_ARGUMENT');
      await source.close();
      await broker.stop();
    }
  });

  it('acknowledge each message with its own identifier, in the order of their acknowledgements', async () => {
    await script((packet) =>
      packet.cmd === 'connect'
        ? [accepted(), ...[11, 12, 13].map((id) => publish('a', 1, id))]
        : granted(packet),
    );
    const source = sourceOf();
    const acknowledge: (() => void)[] = [];
    await source.start((message) => acknowledge.push(() => message.acknowledge()));
    await eventually('three messages', () => acknowledge.length === 3 || undefined);
    for (const index of [2, 0, 2, 1]) acknowledge[index]?.();
    const pubacks = (): (number | undefined)[] =>
      broker.received.filter(({ cmd }) => cmd === 'puback').map(({ messageId }) => messageId);
    await eventually('three PUBACKs', () => pubacks().length >= 3 || undefined);
    assert.deepEqual(pubacks(), [13, 11, 12]);
  });

  it('try another connection where a broker that is there answers no request', async () => {
    const mute = ({ cmd }: Packet): readonly Packet[] =>
      cmd === 'connect' ? [accepted()] : cmd === 'pingreq' ? [{ cmd: 'pingresp' }] : [];
    await script(mute);
    // A hundred times as fast.
    const clock = {
      now: () => Date.now(),
      at: (atMs: number, action: () => void) =>
        systemClock.at(Date.now() + (atMs - Date.now()) / 100, action),
    };
    const config = localBroker(broker.port, 'V5');
    const subscription = { topics: ['a'], qos: 1 } as const;
    const source = new MqttSource({ broker: config, clientId: 'a', subscription }, { ...mqttParts, clock });
    const sink = new MqttSink({ broker: config, clientId: 'b' }, { ...mqttParts, clock });
    opened.push(source, sink);
    begin(source);
    const published = sink.publish('a', new Uint8Array(1), { qos: 1 });
    published.catch(refusal('SHUTTING_DOWN'));
    const count = (cmd: string): number => broker.received.filter((packet) => packet.cmd === cmd).length;
    await eventually(
      'a second attempt of each',
      () => (count('subscribe') >= 2 && count('publish') >= 2) || undefined,
    );
    assert.ok(count('pingreq') > 0);
  });

  it('ping in time, and give up where nothing answers', async function () {
    this.timeout(20_000);
    await script(({ cmd }) => (cmd === 'connect' ? [accepted({ serverKeepAlive: 1 })] : []));
    const sink = sinkOf();
    await waitsWith(sink, 'UNAVAILABLE', /does not answer/);
    assert.ok(broker.received.some(({ cmd }) => cmd === 'pingreq'));
  });
});
