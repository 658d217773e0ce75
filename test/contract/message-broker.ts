import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import type {
  InboundMessage,
  MessageSink,
  MessageSource,
  Subscription,
} from '@tributary/edge-agent/internal/streams-ports.js';

import { refusal } from '../support/refusal.js';
import { eventually } from '../support/waiting.js';

/** A broker under test and what connects to it. */
export interface BrokerHarness {
  source(options: {
    readonly clientId: string;
    readonly subscription: Subscription;
    readonly receiveMaximum?: number;
  }): MessageSource;
  sink(options?: { readonly maximumMessages?: number }): MessageSink;
  /** Cuts every connection; what was published stays. */
  leave(): Promise<void>;
  comeBack(): Promise<void>;
  dispose(): Promise<void>;
}

export interface BrokerSuiteOptions {
  readonly name: string;
  readonly factory: () => Promise<BrokerHarness>;
  readonly userProperties: boolean;
  readonly sharedSubscriptions: boolean;
  /** False where the broker never sets the DUP flag. */
  readonly marksRedelivery?: boolean;
  /** False where the broker needs no system package. */
  readonly available?: () => boolean;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = ({ payload }: InboundMessage): string => new TextDecoder().decode(payload);
const numbered = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `m${String(index)}`);
const sorted = (texts: readonly string[]): string[] => [...texts].sort();

/** What every MessageSource and MessageSink promise, together with the broker between them. */
export function messageBrokerSuite(options: BrokerSuiteOptions): void {
  const { name, factory, available = () => true, marksRedelivery = true } = options;
  const reason = available() ? '' : ' (skipped: its broker is not installed here)';
  describe(`MessageSource and MessageSink: ${name}${reason}`, function () {
    this.timeout(60_000);
    let harness: BrokerHarness;
    const opened: (MessageSource | MessageSink)[] = [];

    beforeEach(async function () {
      if (reason !== '') this.skip();
      harness = await factory();
    });

    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
      await (harness as BrokerHarness | undefined)?.dispose();
    });

    const sinkOf = (given?: Parameters<BrokerHarness['sink']>[0]): MessageSink => {
      const sink = harness.sink(given);
      opened.push(sink);
      return sink;
    };
    const sourceOf = (
      subscription: Partial<Subscription> = {},
      given: { clientId?: string; receiveMaximum?: number } = {},
    ): MessageSource => {
      const source = harness.source({
        clientId: 'ward',
        ...given,
        subscription: { topics: ['site/+/bed/#'], qos: 1, ...subscription },
      });
      opened.push(source);
      return source;
    };
    const receiving = async (source: MessageSource): Promise<InboundMessage[]> => {
      const messages: InboundMessage[] = [];
      await source.start((message) => messages.push(message));
      return messages;
    };
    const arrived = (messages: readonly InboundMessage[], count: number): Promise<true> =>
      eventually(`${String(count)} messages`, () => messages.length >= count || undefined);
    const send = (sink: MessageSink, texts: readonly string[], qos: 0 | 1 = 1): Promise<void[]> =>
      Promise.all(texts.map((one) => sink.publish('site/a/bed/1', bytes(one), { qos })));
    const connected = (...ends: (MessageSource | MessageSink)[]): Promise<true> =>
      eventually(
        'the connections',
        () => ends.every(({ status }) => status.state === 'Connected') || undefined,
      );

    it('delivers what matches, once, in order, with topic, payload and time', async () => {
      const messages = await receiving(sourceOf());
      const sink = sinkOf();
      const before = Date.now();
      await sink.publish('other', bytes('not for the ward'), { qos: 1 });
      await send(sink, numbered(50));
      await sink.publish('site/b/bed', new Uint8Array(0), { qos: 0 });
      await arrived(messages, 51);
      assert.deepEqual(messages.slice(0, 50).map(text), numbered(50));
      const [first, last] = [messages[0], messages[50]];
      assert.ok(first !== undefined && last !== undefined);
      assert.deepEqual(
        [first.topic, first.qos, first.retain, first.redelivered],
        ['site/a/bed/1', 1, false, false],
      );
      assert.ok(first.arrivalMs >= before && first.arrivalMs <= Date.now());
      assert.deepEqual([last.topic, last.qos, last.payload.length], ['site/b/bed', 0, 0]);
      for (const message of messages) message.acknowledge();
    });

    it('carries user properties where the protocol has them', async () => {
      const messages = await receiving(sourceOf());
      await sinkOf().publish('site/a/bed/1', bytes('x'), { qos: 1, properties: { unit: 'mV', lead: 'II' } });
      await arrived(messages, 1);
      assert.deepEqual(messages[0]?.properties, options.userProperties ? { unit: 'mV', lead: 'II' } : {});
    });

    it('gives a new subscription what is retained, marked so', async () => {
      await sinkOf().publish('site/a/bed/1', bytes('kept'), { qos: 1, retain: true });
      const messages = await receiving(sourceOf());
      await arrived(messages, 1);
      assert.deepEqual([messages[0]?.retain, messages[0]?.redelivered], [true, true]);
    });

    it('delivers again after an outage what is not acknowledged, marked so, and nothing else', async () => {
      const source = sourceOf();
      const sink = sinkOf();
      const messages = await receiving(source);
      await send(sink, numbered(10));
      await arrived(messages, 10);
      for (const index of [7, 2, 9, 4]) messages[index]?.acknowledge();
      await sleep(100);
      await harness.leave();
      await harness.comeBack();
      await connected(source, sink);
      await arrived(messages, 16);
      await sleep(200);
      const again = messages.slice(10);
      assert.deepEqual(again.map(text), ['m0', 'm1', 'm3', 'm5', 'm6', 'm8']);
      assert.ok(again.every(({ redelivered }) => redelivered === marksRedelivery));
      assert.equal(source.unacknowledged, 6);
      for (const message of again) message.acknowledge();
      assert.equal(source.unacknowledged, 0);
    });

    it('keeps what comes while the source is closed, and gives it to the next of its client id', async () => {
      const sink = sinkOf();
      const first = sourceOf();
      const before = await receiving(first);
      await send(sink, ['a', 'b']);
      await arrived(before, 2);
      before[0]?.acknowledge();
      await sleep(100);
      await first.close();
      await send(sink, ['c']);
      before[1]?.acknowledge();
      const after = await receiving(sourceOf());
      await arrived(after, 2);
      assert.deepEqual(after.map(text), ['b', 'c']);
      assert.deepEqual(
        after.map(({ redelivered }) => redelivered),
        [marksRedelivery, false],
      );
    });

    it('takes an acknowledgement late, twice, or of a connection that is gone', async () => {
      const source = sourceOf();
      const sink = sinkOf();
      const messages = await receiving(source);
      await send(sink, ['a', 'b']);
      await arrived(messages, 2);
      await harness.leave();
      await harness.comeBack();
      await connected(source, sink);
      await arrived(messages, 4);
      messages[0]?.acknowledge();
      messages[1]?.acknowledge();
      assert.equal(source.unacknowledged, 2);
      messages[3]?.acknowledge();
      messages[3]?.acknowledge();
      assert.equal(source.unacknowledged, 1);
      await send(sink, ['c']);
      await arrived(messages, 5);
      // The identifier of what was acknowledged may be in use again: the old message must not touch it.
      messages[3]?.acknowledge();
      assert.equal(source.unacknowledged, 2);
    });

    it('holds no more unacknowledged than agreed, and goes on as they are acknowledged', async () => {
      const source = sourceOf({}, { receiveMaximum: 8 });
      const messages = await receiving(source);
      await send(sinkOf(), numbered(30));
      await arrived(messages, 8);
      await sleep(200);
      assert.deepEqual([messages.length, source.unacknowledged], [8, 8]);
      for (let done = 0; done < 30; done += 1) {
        await arrived(messages, done + 1);
        messages[done]?.acknowledge();
      }
      assert.deepEqual(messages.map(text), numbered(30));
    });

    it('delivers nothing while paused, and everything afterwards', async () => {
      const source = sourceOf();
      const sink = sinkOf();
      const messages: InboundMessage[] = [];
      await source.start((message) => {
        messages.push(message);
        message.acknowledge();
        if (messages.length === 5) source.pause();
      });
      await send(sink, numbered(40));
      await arrived(messages, 5);
      await sleep(200);
      assert.equal(messages.length, 5);
      source.resume();
      await arrived(messages, 40);
      assert.deepEqual(messages.map(text), numbered(40));
    });

    it('queues while the broker is away, up to a bound, and publishes when it is back', async () => {
      const source = sourceOf();
      const sink = sinkOf({ maximumMessages: 5 });
      const messages = await receiving(source);
      await connected(sink);
      await harness.leave();
      await eventually('the loss to be noticed', () => sink.status.state !== 'Connected' || undefined);
      const waiting = send(sink, numbered(5));
      assert.equal(sink.queued, 5);
      await assert.rejects(sink.publish('site/a/bed/1', bytes('x'), { qos: 1 }), refusal('OVERLOADED'));
      await harness.comeBack();
      await waiting;
      assert.equal(sink.queued, 0);
      await arrived(messages, 5);
      assert.deepEqual(sorted(messages.map(text)), numbered(5));
    });

    it('refuses what is no topic and no filter, and everything after close', async () => {
      const sink = sinkOf();
      for (const topic of ['', 'a/+', '#', 'a\0b', 'x'.repeat(70_000)])
        await assert.rejects(sink.publish(topic, bytes('x'), { qos: 1 }), refusal('INVALID_ARGUMENT'));
      for (const filter of ['', 'a/#/b', 'a+', 'a/b#'])
        await assert.rejects(receiving(sourceOf({ topics: [filter] })), refusal('INVALID_ARGUMENT'));
      await assert.rejects(receiving(sourceOf({ topics: [] })), refusal('INVALID_ARGUMENT'));
      await sink.close();
      await assert.rejects(sink.publish('a', bytes('x'), { qos: 1 }), refusal('SHUTTING_DOWN'));
      assert.equal(sink.status.state, 'Closed');
      const source = sourceOf();
      await source.close();
      await assert.rejects(receiving(source), refusal('SHUTTING_DOWN'));
    });

    it('gives up starting when it is closed while the broker is away', async () => {
      await harness.leave();
      const source = sourceOf();
      const started = receiving(source);
      await sleep(50);
      await source.close();
      await assert.rejects(started, refusal('SHUTTING_DOWN'));
      await harness.comeBack();
    });

    it('leaves once everything in its session is acknowledged, takes nothing new, and leaves nothing there', async () => {
      const source = sourceOf({}, { receiveMaximum: 4 });
      const sink = sinkOf();
      const messages = await receiving(source);
      await send(sink, numbered(20));
      await arrived(messages, 4);
      let over = false;
      const left = source.leave().then(() => (over = true));
      await sleep(200);
      await send(sink, ['late']);
      for (let done = 0; done < 20; done += 1) {
        await arrived(messages, done + 1);
        assert.equal(over, false);
        messages[done]?.acknowledge();
      }
      await left;
      assert.deepEqual(messages.map(text), numbered(20));
      assert.equal(source.status.state, 'Closed');
      const after = await receiving(sourceOf());
      await send(sink, ['new']);
      await arrived(after, 1);
      assert.deepEqual(after.map(text), ['new']);
    });

    it('leaves over outages of the broker, and loses nothing by it', async () => {
      const source = sourceOf();
      const messages = await receiving(source);
      await send(sinkOf(), ['a', 'b']);
      await arrived(messages, 2);
      messages[0]?.acknowledge();
      await sleep(100);
      await harness.leave();
      const left = source.leave();
      await harness.comeBack();
      await arrived(messages, 3);
      assert.deepEqual(messages.map(text), ['a', 'b', 'b']);
      await harness.leave();
      await harness.comeBack();
      await arrived(messages, 4);
      messages[3]?.acknowledge();
      await left;
      assert.deepEqual(messages.map(text), ['a', 'b', 'b', 'b']);
    });

    it('leaves what is not acknowledged with the broker where it is closed while it leaves', async () => {
      const source = sourceOf();
      const messages = await receiving(source);
      await send(sinkOf(), ['a', 'b']);
      await arrived(messages, 2);
      const left = assert.rejects(source.leave(), refusal('SHUTTING_DOWN'));
      messages[0]?.acknowledge();
      await sleep(100);
      await source.close();
      await left;
      const after = await receiving(sourceOf());
      await arrived(after, 1);
      assert.deepEqual(after.map(text), ['b']);
      await assert.rejects(source.leave(), refusal('SHUTTING_DOWN'));
    });

    if (options.sharedSubscriptions) {
      it('gives everything to the others of a group once a member has left', async () => {
        const [steady, leaving] = ['steady', 'leaving'].map((clientId) =>
          sourceOf({ share: 'replicas' }, { clientId, receiveMaximum: 4 }),
        );
        assert.ok(steady !== undefined && leaving !== undefined);
        const done: string[] = [];
        await steady.start((message) => {
          done.push(text(message));
          message.acknowledge();
        });
        const last: string[] = [];
        await leaving.start((message) => {
          last.push(text(message));
          setTimeout(() => message.acknowledge(), 20);
        });
        const sink = sinkOf();
        await send(sink, numbered(40));
        await leaving.leave();
        await eventually('40 messages', () => done.length + last.length >= 40 || undefined);
        assert.deepEqual(sorted([...done, ...last]), sorted(numbered(40)));
        assert.ok(last.length > 0);
        const before = done.length;
        await send(sink, numbered(20));
        await eventually('20 messages', () => done.length >= before + 20 || undefined);
        assert.deepEqual(done.slice(before), numbered(20));
      });

      it('divides messages among the members of a group, each to one', async () => {
        const all: string[] = [];
        const counts = [0, 0];
        for (const member of [0, 1]) {
          const source = sourceOf({ share: 'replicas' }, { clientId: `replica-${String(member)}` });
          await source.start((message) => {
            all.push(text(message));
            counts[member] = (counts[member] ?? 0) + 1;
            message.acknowledge();
          });
        }
        await send(sinkOf(), numbered(40));
        await eventually('40 messages', () => all.length >= 40 || undefined);
        await sleep(200);
        assert.deepEqual(sorted(all), sorted(numbered(40)));
        assert.ok(
          counts.every((count) => count > 0),
          counts.join(' and '),
        );
      });

      it('gives a member that comes back what it had not acknowledged', async () => {
        const [steady, restarted] = ['steady', 'restarted'].map((clientId) =>
          sourceOf({ share: 'replicas' }, { clientId }),
        );
        assert.ok(steady !== undefined && restarted !== undefined);
        const done: string[] = [];
        const finish = (message: InboundMessage): void => {
          done.push(text(message));
          message.acknowledge();
        };
        await steady.start(finish);
        const unfinished = await receiving(restarted);
        const sink = sinkOf();
        await send(sink, numbered(20));
        await eventually('20 messages', () => done.length + unfinished.length === 20 || undefined);
        assert.ok(unfinished.length > 0);
        await restarted.close();
        await sourceOf({ share: 'replicas' }, { clientId: 'restarted' }).start(finish);
        await eventually('the rest', () => done.length === 20 || undefined);
        assert.deepEqual(sorted(done), sorted(numbered(20)));
      });
    }
  });
}
