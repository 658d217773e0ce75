import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { digestOf, LIMITS, TributaryError, type Row } from '@tributary/proto';

import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { StreamStates } from '@tributary/edge-agent/internal/adapters/store/stream-states.js';
import type { StreamStateStore } from '@tributary/edge-agent/internal/streams-ports.js';

import { pipeline } from '../../support/stream-pipeline.js';
import { StreamWorld, type ReceivedResult } from '../../support/stream-engine.js';
import { eventually } from '../../support/waiting.js';

const RECORDS = {
  payload: {
    type: 'Json',
    columns: { pulse: 'pulse', ward: 'ward' },
    time: { type: 'Path', path: 't' },
    id: 'id',
  },
  result: { topic: 'out/{bed}/result' },
  deadLetter: { topic: 'out/dead' },
};
const WINDOWS = {
  ...RECORDS,
  window: {
    type: 'Tumbling',
    sizeMs: 1_000,
    reduce: [{ column: 'pulse', from: 'pulse', function: 'Mean' }],
  },
};
const T = 1_700_000_000_000;

describe('stream engine', () => {
  let world: StreamWorld;

  afterEach(() => world.close());

  async function opened(
    spec: Readonly<Record<string, unknown>> = RECORDS,
    ...rest: [ConstructorParameters<typeof StreamWorld>[1]?, number?]
  ): Promise<StreamWorld> {
    world = new StreamWorld(pipeline(spec), ...rest);
    await world.open();
    return world;
  }
  const ids = (received: readonly ReceivedResult[]): unknown[] =>
    received.map(({ body }) => body['decisionId']);
  const results = (): ReceivedResult[] => world.received.filter(({ topic }) => topic.endsWith('/result'));
  const scores = (): unknown[] => results().map(({ body }) => body['score']);
  const done = async (count: number): Promise<void> => {
    await eventually(`${String(count)} messages to be done with`, () =>
      world.runner.status().completed >= count && world.source.unacknowledged === 0 ? true : undefined,
    );
    await world.receivedAll();
  };

  it('answers records in the order of their key, with what the model said and which version', async () => {
    await opened();
    await world.start();
    for (let index = 0; index < 300; index++)
      await world.send({ id: index, t: T + index, pulse: index }, { bed: String(index % 3) });
    await done(300);
    assert.equal(results().length, 300);
    for (const bed of ['0', '1', '2']) {
      const own = results().filter(({ topic }) => topic === `out/${bed}/result`);
      assert.deepEqual(
        own.map(({ body }) => body['score']),
        Array.from({ length: 100 }, (_, index) => index * 3 + Number(bed)),
      );
    }
    const [first] = results();
    assert.ok(first);
    const { decisionId, latencyMs, ...body } = first.body;
    assert.match(String(decisionId), /^[0-9a-f]{32}$/);
    assert.ok(Number(latencyMs) >= 0);
    assert.deepEqual(body, {
      pipeline: 'vitals',
      model: 'sepsis',
      version: 1,
      score: 0,
      key: '0',
      window: { startMs: T, endMs: T },
      points: 1,
      gaps: { listed: [], count: 0, totalMs: 0 },
      issues: 0,
    });
    assert.deepEqual(first.properties, { 'decision-id': decisionId, 'model-version': '1' });
    assert.ok(world.predictor.asked.length < 150, 'one request for many messages');
    assert.deepEqual(
      world.log.entries.map((entry) => entry.decisionId),
      ids(results()),
    );
    assert.equal(world.log.entries[0]?.source, 'vitals');
  });

  it('acknowledges a record only after its result is out and its decision in the log', async () => {
    await opened();
    world.log.fails = 1;
    await world.start();
    await world.send({ id: 1, t: T, pulse: 1 });
    await eventually('the result', () => (results().length === 1 ? true : undefined));
    await sleep(50);
    assert.equal(world.source.unacknowledged, 1);
    assert.equal(world.runner.status().reason?.code, 'STORE_FULL');
    await done(1);
    assert.equal(world.log.entries.length, 1);
  });

  it('acknowledges nothing while the broker does not take results', async () => {
    const refused: string[] = [];
    await opened(RECORDS, {
      sink: {
        status: { state: 'Connected', subscribed: false },
        queued: 0,
        publish: (topic) => {
          refused.push(topic);
          return refused.length < 3
            ? Promise.reject(new TributaryError('OVERLOADED', 'quota exceeded'))
            : Promise.resolve();
        },
        close: () => Promise.resolve(),
      },
    });
    await world.start();
    await world.send({ id: 1, t: T, pulse: 1 });
    await eventually('the first refusal', () => (refused.length === 1 ? true : undefined));
    await sleep(50);
    assert.equal(world.source.unacknowledged, 1);
    assert.equal(world.runner.status().state, 'Waiting');
    await done(1);
    assert.equal(refused.length, 3);
    assert.equal(world.runner.status().state, 'Running');
  });

  it('gives up a result that the broker will never take, and goes on', async () => {
    await opened(RECORDS, {
      sink: {
        status: { state: 'Connected', subscribed: false },
        queued: 0,
        publish: (topic) =>
          topic.endsWith('/1/result')
            ? Promise.reject(new TributaryError('PERMISSION_DENIED', 'not authorized'))
            : Promise.resolve(),
        close: () => Promise.resolve(),
      },
    });
    await world.start();
    await world.send({ id: 1, t: T, pulse: 1 }, { bed: '1' });
    await world.send({ id: 2, t: T, pulse: 1 }, { bed: '2' });
    await done(2);
    assert.deepEqual(world.runner.status().deadLetters, { Unpublishable: 1 });
  });

  it('acknowledges what lies in an open window only once the window is on disk', async () => {
    const writes: (() => void)[] = [];
    const kept = new StreamStates(new MemoryStateStore());
    const held: StreamStateStore = {
      read: (name) => kept.read(name),
      write: (name, changes) =>
        new Promise<void>((resolve) => {
          writes.push(() => {
            resolve(kept.write(name, changes));
          });
        }),
      close: () => kept.close(),
    };
    await opened(WINDOWS, { states: held });
    await world.start();
    await world.send({ id: 1, t: T, pulse: 1 });
    await eventually('a write', () => (writes.length > 0 ? true : undefined));
    assert.equal(world.source.unacknowledged, 1);
    writes.shift()?.();
    await done(1);
    const keys: string[] = [];
    for await (const { key } of kept.read('vitals')) keys.push(key);
    assert.deepEqual(keys, ['7']);
  });

  it('isolates a row that the model refuses: the others are answered, and one dead letter says why', async () => {
    await opened({ ...RECORDS, batch: { maximumRows: 64, budgetMs: 20 } });
    world.predictor.refuse = (rows: readonly Row[]) => {
      if (rows.some(({ pulse }) => pulse === 13)) throw new TributaryError('INVALID_ARGUMENT', 'row 13');
    };
    await world.start();
    for (let index = 0; index < 40; index++) await world.send({ id: index, t: T + index, pulse: index });
    await done(40);
    assert.deepEqual(
      scores(),
      Array.from({ length: 40 }, (_, index) => index).filter((index) => index !== 13),
    );
    const dead = world.received.filter(({ topic }) => topic === 'out/dead').map(({ body }) => body);
    assert.equal(dead.length, 1);
    assert.equal(dead[0]?.['reason'], 'Refused');
    assert.equal(dead[0]['field'], 'INVALID_ARGUMENT');
  });

  it('does not let a row that kills the worker hold back the others', async () => {
    const random = { bytes: (length: number) => new Uint8Array(length) };
    await opened({ ...RECORDS, batch: { maximumRows: 8, budgetMs: 20 } }, { random });
    world.predictor.refuse = (rows: readonly Row[]) => {
      if (rows.some(({ pulse }) => pulse === 3)) throw new TributaryError('UNAVAILABLE', 'the worker ended');
    };
    await world.start();
    for (let index = 0; index < 8; index++) await world.send({ id: index, t: T + index, pulse: index });
    await done(8);
    assert.deepEqual(scores(), [0, 1, 2, 4, 5, 6, 7]);
    assert.deepEqual(world.runner.status().deadLetters, { Refused: 1 });
  }).timeout(60_000);

  it('waits for a model that is not there, reads no more meanwhile, and says why', async () => {
    await opened();
    world.predictor.version = undefined;
    await world.start();
    for (let index = 0; index < 5; index++) await world.send({ id: index, t: T + index, pulse: index });
    await eventually('the pipeline to wait', () =>
      world.runner.status().reason === null ? undefined : true,
    );
    const { state, reason } = world.runner.status();
    assert.equal(state, 'Waiting');
    assert.equal(reason?.code, 'NOT_FOUND');
    const { messages } = world.runner.status();
    await world.send({ id: 9, t: T + 9, pulse: 9 });
    await sleep(50);
    assert.equal(world.runner.status().messages, messages);
    assert.equal(world.source.unacknowledged, messages);
    world.predictor.version = 4;
    await done(6);
    assert.deepEqual(scores(), [0, 1, 2, 3, 4, 9]);
    assert.equal(results()[0]?.body['version'], 4);
    assert.equal(world.runner.status().state, 'Running');
  });

  it('waits for a version that has the output of the pipeline', async () => {
    await opened({ ...RECORDS, model: { name: 'sepsis', output: 'good' } });
    await world.start();
    await world.send({ id: 1, t: T, pulse: 1 });
    const reason = await eventually('a reason', () => world.runner.status().reason ?? undefined);
    assert.equal(reason.code, 'CONFIG_INVALID');
    assert.match(reason.detail, /spec\.model\.output: sepsis@1 has no output good; use one of bad/);
    assert.equal(world.source.unacknowledged, 1);
  });

  it('leaves messages with the broker rather than hold more than the limit', async () => {
    const releases: (() => void)[] = [];
    await opened(RECORDS, {}, 1_000_000);
    world.predictor.delay = () => new Promise<void>((resolve) => releases.push(resolve));
    await world.start();
    for (let index = 0; index < LIMITS.streamOutstanding + 2_000; index++)
      await world.send({ id: index, t: T + index, pulse: 1 });
    await eventually('the pipeline to be full', () =>
      world.runner.status().outstanding >= LIMITS.streamOutstanding ? true : undefined,
    );
    await sleep(50);
    assert.equal(world.runner.status().outstanding, LIMITS.streamOutstanding);
    world.predictor.delay = () => Promise.resolve();
    for (const release of releases) release();
    await done(LIMITS.streamOutstanding + 2_000);
    await eventually('all results', () =>
      results().length === LIMITS.streamOutstanding + 2_000 ? true : undefined,
    );
  });

  it('counts bytes too, also with QoS 0', async () => {
    await opened({ ...RECORDS, source: { broker: 'ward', topics: ['site/+/bed/{bed}/vitals'], qos: 0 } });
    world.predictor.version = undefined;
    await world.start();
    const note = 'x'.repeat(1_000_000);
    for (let index = 0; index < 100; index++)
      await world.send({ id: index, t: T, pulse: 1, note }, { qos: 0 });
    await sleep(200);
    assert.ok(world.runner.status().outstandingBytes <= LIMITS.streamOutstandingBytes + 1_100_000);
    assert.ok(world.runner.status().messages < 100);
  });

  it('gives a message that is delivered again the same decision id, whoever answers it', async () => {
    await opened();
    await world.start();
    await world.send({ id: 1, t: T, pulse: 1 });
    await done(1);
    world.log.fails = 1_000;
    await world.send({ id: 2, t: T + 1, pulse: 2 });
    await eventually('the second result', () => (results().length === 2 ? true : undefined));
    world.kill();
    world.log.fails = 0;
    await world.start();
    await done(1);
    assert.equal(results().length, 3);
    const [, second, again] = ids(results());
    assert.equal(again, second);
  });

  it('skips a message that a device sends twice', async () => {
    await opened();
    await world.start();
    await world.send({ id: 1, t: T, pulse: 1 });
    await world.send({ id: 1, t: T, pulse: 1 });
    await done(2);
    await eventually('the result', () => (results().length === 1 ? true : undefined));
    assert.equal(world.runner.status().skipped.Duplicate, 1);
  });

  it('reports what it cannot read without a byte of it, keeps it where it may, and goes on', async () => {
    await opened({ ...RECORDS, deadLetter: { topic: 'out/dead', keepBytes: 10_000 } });
    await world.start();
    await world.send(Buffer.from('{"secret":'));
    await world.send({ id: 1, t: T, pulse: 1 });
    await done(2);
    const dead = await eventually('the report', () => {
      const reports = world.received.filter(({ topic }) => topic === 'out/dead');
      return reports.length > 0 && results().length > 0 ? reports : undefined;
    });
    assert.equal(dead.length, 1);
    const { arrivalMs, ...report } = dead[0]?.body ?? {};
    assert.ok(typeof arrivalMs === 'number');
    assert.deepEqual(report, {
      pipeline: 'vitals',
      reason: 'NotJson',
      topic: 'site/a/bed/7/vitals',
      size: 10,
      digest: digestOf(Buffer.from('{"secret":')),
    });
    assert.equal(results().length, 1);
    const names = await world.letterFiles.list();
    assert.equal(names.length, 1);
  });

  it('raises and clears alerts once, across a crash between', async () => {
    await opened({
      ...RECORDS,
      alerts: [{ name: 'fast', above: 100, below: 90, topic: 'out/{bed}/alert' }],
    });
    await world.start();
    for (const [index, pulse] of [80, 120, 95, 110].entries())
      await world.send({ id: index, t: T + index, pulse });
    await done(4);
    world.kill();
    await world.start();
    for (const [index, pulse] of [130, 80].entries())
      await world.send({ id: index + 9, t: T + 9 + index, pulse });
    await done(2);
    const alerts = world.received.filter(({ topic }) => topic === 'out/7/alert').map(({ body }) => body);
    assert.deepEqual(
      alerts.map(({ type, sinceMs, timeMs, value, alert, key }) => ({
        type,
        sinceMs,
        timeMs,
        value,
        alert,
        key,
      })),
      [
        { type: 'Raised', sinceMs: T + 1, timeMs: T + 1, value: 120, alert: 'fast', key: '7' },
        { type: 'Cleared', sinceMs: T + 1, timeMs: T + 10, value: 80, alert: 'fast', key: '7' },
      ],
    );
    assert.equal(alerts[0]?.['id'], alerts[1]?.['id']);
  });

  it('begins anew, and says so, where the windows of a pipeline were changed', async () => {
    await opened(WINDOWS);
    await world.start();
    await world.send({ id: 1, t: T, pulse: 1 });
    await done(1);
    await world.close();
    await world.start(pipeline({ ...WINDOWS, window: { ...WINDOWS.window, sizeMs: 2_000 } }));
    assert.ok(
      world.logged.some((line) => line.startsWith('the pipeline was changed: its windows begin anew')),
    );
    assert.equal(world.runner.status().keys, 0);
  });

  it('closes windows of silent keys by the clock, and answers their rows where there is no model', async () => {
    await opened({ ...WINDOWS, model: undefined, window: { ...WINDOWS.window, idleMs: 60 } });
    await world.start();
    await world.send({ id: 1, t: T, pulse: 70 });
    await world.send({ id: 2, t: T + 1, pulse: 80 });
    await eventually('the window', () => (results().length === 1 ? true : undefined));
    assert.deepEqual(results()[0]?.body['row'], { pulse: 75 });
    assert.deepEqual(results()[0]?.body['window'], { startMs: T, endMs: T + 1_000 });
    assert.equal(world.log.entries.length, 0);
  });

  it('answers what it has read before it ends', async () => {
    await opened();
    await world.start();
    world.predictor.delay = () => sleep(30);
    for (let index = 0; index < 100; index++) await world.send({ id: index, t: T + index, pulse: index });
    await eventually('messages', () => (world.runner.status().messages > 0 ? true : undefined));
    const read = world.runner.status().messages;
    await world.close();
    assert.ok(world.runner.status().completed >= read);
    const { completed } = world.runner.status();
    await eventually('their results', () => (results().length === completed ? true : undefined));
    await world.start();
    await eventually('the rest', () => (new Set(ids(results())).size === 100 ? true : undefined));
  });
});
