import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';
import type { CheckpointStore } from '@tributary/coordinator/internal/ports.js';

import { collect, patternBytes } from '../support/bytes.js';
import { using, type SuiteOptions } from './harness.js';

/** What every CheckpointStore does. */
export function checkpointStoreSuite({ name, factory }: SuiteOptions<CheckpointStore>): void {
  describe(`CheckpointStore: ${name}`, () => {
    it('gives back a checkpoint of several chunks, after reopening too', () =>
      using(factory, async (harness) => {
        const content = patternBytes(2 * LIMITS.chunkBytes + 77);
        const first = await harness.open();
        await first.put('job-1', [
          content.subarray(0, 5),
          content.subarray(5, 1_500_000),
          content.subarray(1_500_000),
        ]);
        const store = await harness.open();
        assert.deepEqual(await collect(store.get('job-1') ?? missing()), content);
        assert.equal(store.get('job-2'), undefined);
      }));

    it('replaces and deletes', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.put('job-1', [patternBytes(100, 1)]);
        await store.put('job-1', [patternBytes(50, 2)]);
        assert.deepEqual(await collect(store.get('job-1') ?? missing()), patternBytes(50, 2));
        await store.put('another', [patternBytes(1)]);
        assert.deepEqual(await store.list(), ['another', 'job-1']);
        await store.delete('another');
        await store.delete('job-1');
        await store.delete('job-1');
        assert.deepEqual(await store.list(), []);
        assert.equal(store.get('job-1'), undefined);
      }));

    it('takes chunks from a producer that reuses its buffer', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const buffer = new Uint8Array(2);
        function* produce(): Iterable<Uint8Array> {
          for (const value of [1, 2, 3]) {
            buffer.fill(value);
            yield buffer;
          }
        }
        await store.put('job-1', produce());
        assert.deepEqual(await collect(store.get('job-1') ?? missing()), Uint8Array.of(1, 1, 2, 2, 3, 3));
      }));

    it('keeps the checkpoint before where a new one cannot be produced', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.put('job-1', [patternBytes(100, 1)]);
        function* produce(): Iterable<Uint8Array> {
          yield patternBytes(10, 2);
          throw new Error('the producer failed');
        }
        await assert.rejects(async () => store.put('job-1', produce()), /the producer failed/);
        assert.deepEqual(await collect(store.get('job-1') ?? missing()), patternBytes(100, 1));
      }));
  });
}

function missing(): never {
  throw new assert.AssertionError({ message: 'the checkpoint is missing' });
}
