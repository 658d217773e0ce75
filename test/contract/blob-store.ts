import assert from 'node:assert/strict';

import { digestOf, LIMITS, type Digest } from '@tributary/proto';
import type { BlobStore } from '@tributary/coordinator/internal/ports.js';

import { collect, collectAll, patternBytes } from '../support/bytes.js';
import { using, type SuiteOptions } from './harness.js';

const ABSENT: Digest = `sha256:${'0'.repeat(64)}`;

/** What every BlobStore does. */
export function blobStoreSuite({ name, factory }: SuiteOptions<BlobStore>): void {
  describe(`BlobStore: ${name}`, () => {
    it('names content by its digest and gives it back, after reopening too', () =>
      using(factory, async (harness) => {
        const content = patternBytes(3 * LIMITS.chunkBytes + 17);
        const first = await harness.open();
        const put = await first.put([content.subarray(0, 1_000), content.subarray(1_000)]);
        assert.deepEqual(put, { digest: digestOf(content), size: content.length });
        const store = await harness.open();
        assert.equal(await store.size(put.digest), content.length);
        assert.deepEqual(await collect(store.read(put.digest)), content);
      }));

    it('takes content from an asynchronous producer that reuses its buffer', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const buffer = new Uint8Array(4);
        async function* produce(): AsyncIterable<Uint8Array> {
          for (let value = 1; value <= 3; value += 1) {
            buffer.fill(value);
            yield await Promise.resolve(buffer);
          }
        }
        const { digest } = await store.put(produce());
        assert.deepEqual(
          await collect(store.read(digest)),
          Uint8Array.of(1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
        );
      }));

    it('keeps an empty blob', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const { digest, size } = await store.put([]);
        assert.equal(size, 0);
        assert.equal(await store.size(digest), 0);
        assert.deepEqual(await collect(store.read(digest)), new Uint8Array());
      }));

    it('reads chunks of at most the limit, from any offset', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const content = patternBytes(LIMITS.chunkBytes + 100_000);
        const { digest } = await store.put([content]);
        for (const offset of [0, 1, 99_999, LIMITS.chunkBytes, content.length - 1, content.length]) {
          const chunks = await collectAll(store.readStored(digest, offset));
          assert.ok(chunks.every((chunk) => chunk.length > 0 && chunk.length <= LIMITS.chunkBytes));
          assert.deepEqual(new Uint8Array(Buffer.concat(chunks)), content.slice(offset));
        }
      }));

    it('gives each reader chunks of its own', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const content = patternBytes(1_000);
        const { digest } = await store.put([content]);
        for await (const chunk of store.read(digest)) chunk.fill(0);
        assert.deepEqual(await collect(store.read(digest)), content);
      }));

    it('answers the same content again with the same digest', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const content = patternBytes(5_000);
        const [a, b, c] = await Promise.all([
          store.put([content]),
          store.put([content]),
          store.put([content]),
        ]);
        assert.deepEqual([b, c], [a, a]);
        assert.equal((await collectAll(store.list())).length, 1);
      }));

    it('keeps nothing of content whose producer fails', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        async function* produce(): AsyncIterable<Uint8Array> {
          yield await Promise.resolve(patternBytes(100));
          throw new Error('the producer failed');
        }
        await assert.rejects(store.put(produce()), /the producer failed/);
        assert.deepEqual(await collectAll(store.list()), []);
      }));

    it('says NOT_FOUND for what it does not hold, and deletes once', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const { digest } = await store.put([patternBytes(10)]);
        await store.delete(digest);
        await store.delete(digest);
        assert.equal(await store.size(digest), undefined);
        await assert.rejects(collect(store.read(digest)), { code: 'NOT_FOUND' });
        await assert.rejects(collect(store.read(ABSENT)), { code: 'NOT_FOUND' });
        await assert.rejects(collect(store.readStored(ABSENT, 0)), { code: 'NOT_FOUND' });
      }));

    it('lists what it holds', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const put = await Promise.all([1, 2, 3, 4].map((seed) => store.put([patternBytes(20, seed)])));
        assert.deepEqual((await collectAll(store.list())).sort(), put.map(({ digest }) => digest).sort());
      }));
  });
}
