import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';
import { KeyTable } from '@tributary/edge-agent/internal/app/streams/key-table.js';
import type { KeyState } from '@tributary/edge-agent/internal/domain/streams/key-state.js';
import { compileKeyStream } from '@tributary/edge-agent/internal/domain/streams/key-stream.js';

import { StreamWorld } from '../../support/stream-engine.js';
import { pipeline } from '../../support/stream-pipeline.js';
import { eventually } from '../../support/waiting.js';

const T = 1_700_000_000_000;
const later = T + LIMITS.streamForgetMs + 1;

describe('keys of a pipeline', () => {
  const stream = compileKeyStream('vitals', pipeline().spec);
  let forgotten: string[];
  let keys: KeyTable;

  function fill(from: number, to: number, nowMs: number): void {
    for (let index = from; index < to; index++) {
      const entry = keys.entry(`k${String(index)}`, nowMs);
      if (entry !== undefined) entry.state = { ...entry.state, arrivalMs: nowMs };
    }
  }

  beforeEach(() => {
    forgotten = [];
    keys = new KeyTable(stream, (key) => forgotten.push(key));
  });

  it('take no key more than the limit while none is silent', () => {
    fill(0, LIMITS.streamKeys, T);
    assert.equal(keys.size, LIMITS.streamKeys);
    assert.equal(keys.entry('one more', T), undefined);
    assert.ok(keys.entry('k0', T), 'a known key goes on');
    assert.deepEqual(forgotten, []);
  });

  it('make room by forgetting those that were silent for an hour', () => {
    fill(0, 10, T);
    fill(10, LIMITS.streamKeys, later);
    assert.ok(keys.entry('one more', later));
    assert.deepEqual(
      forgotten,
      Array.from({ length: 10 }, (_, index) => `k${String(index)}`),
    );
    assert.equal(keys.size, LIMITS.streamKeys - 9);
  });

  it('forget none whose work is not done, or not on disk', () => {
    fill(0, 3, T);
    const [busy, dirty] = [keys.entry('k0', T), keys.entry('k1', T)];
    assert.ok(busy && dirty);
    busy.open = 1;
    dirty.changes = 1;
    keys.sweep(later);
    assert.deepEqual(forgotten, ['k2']);
    busy.open = 0;
    dirty.written = 1;
    keys.sweep(later);
    assert.deepEqual(forgotten, ['k2', 'k0', 'k1']);
  });

  it('remember a raised alert while there is room', () => {
    fill(0, 1, T);
    const entry = keys.entry('k0', T);
    assert.ok(entry);
    entry.alerts = { fast: { sinceMs: T, raised: true, id: 'a' } } as unknown as typeof entry.alerts;
    keys.sweep(later);
    assert.deepEqual(forgotten, []);
    fill(1, LIMITS.streamKeys, later);
    keys.sweep(later);
    assert.deepEqual(forgotten, ['k0']);
  });

  it('hold values together up to a limit, beyond which none grows that has more than its share', () => {
    const cells = new Array<number>(LIMITS.streamValuesPerKey).fill(1);
    const holding = (runs: number): KeyState => ({
      ...stream.initial,
      // One list for all: what counts is how long it is.
      runs: Array.from({ length: runs }, (_, at) => ({
        ...{ startMs: at, periodMs: 1, first: 0, count: cells.length, labels: {}, identity: '' },
        columns: { pulse: cells },
      })),
    });
    const [heavy, light] = [keys.entry('heavy', T), keys.entry('light', T)];
    assert.ok(heavy && light);
    const most = LIMITS.streamValues / LIMITS.streamValuesPerKey;
    assert.ok(keys.advance(heavy, holding(most)));
    assert.ok(!keys.advance(heavy, holding(most + 1)), 'it has all there is');
    assert.equal(heavy.state.runs.length, most, 'nothing has changed');
    assert.ok(keys.advance(light, holding(most / 2)), 'the others go on');
    assert.ok(!keys.advance(light, holding(most / 2 + 1)), 'up to their share');
    assert.ok(keys.advance(heavy, holding(most - 1)), 'what frees some is taken');
    keys.sweep(later);
    assert.ok(keys.advance(heavy, stream.initial));
    assert.ok(keys.advance(light, holding(most)), 'there is room again');
    const restored = new KeyTable(stream, () => undefined);
    restored.restore('heavy', holding(most), {});
    const [again] = restored.entries();
    assert.ok(again && !restored.advance(again, holding(most + 1)), 'what was read from disk counts');
  });

  it('beyond the limit are dead letters, and those that are known are answered', async () => {
    const world = new StreamWorld(
      pipeline({
        model: undefined,
        payload: { type: 'Json', columns: { pulse: 'pulse' }, id: 'id' },
        result: { topic: 'out/{bed}/result' },
      }),
    );
    await world.open();
    await world.start();
    const count = LIMITS.streamKeys + 5;
    for (let index = 0; index < count; index++)
      await world.send({ id: index, pulse: 1 }, { bed: `b${String(index)}` });
    await world.send({ id: count, pulse: 1 }, { bed: 'b7' });
    await eventually('all of them', () => (world.runner.status().completed === count + 1 ? true : undefined));
    const { deadLetters, results, keys: held } = world.runner.status();
    assert.deepEqual(
      [deadLetters, results, held],
      [{ Overflow: 5 }, LIMITS.streamKeys + 1, LIMITS.streamKeys],
    );
    await world.close();
  }).timeout(60_000);
});
