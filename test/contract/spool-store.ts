import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';
import type { SpoolHeader, SpoolStore } from '@tributary/coordinator/internal/ports.js';

import { patternBytes } from '../support/bytes.js';
import { using, type SuiteOptions } from './harness.js';

const CHUNK = LIMITS.minChunkBytes;
const TAG = 16;

export const uploadId = (value: number): string => `upl-${value.toString(16).padStart(32, '0')}`;

export const spoolHeader = (value: number): SpoolHeader => ({
  uploadId: uploadId(value),
  agentId: `agt-${value.toString(16).padStart(32, '0')}`,
  site: 'north',
  header: patternBytes(900, value),
  signature: patternBytes(64, value + 1),
});

const chunks = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, at) => patternBytes(at === count - 1 ? 1_234 : CHUNK + TAG, at + 1));

/** What every SpoolStore does. */
export function spoolStoreSuite({ name, factory }: SuiteOptions<SpoolStore>): void {
  describe(`SpoolStore: ${name}`, () => {
    it('gives back header and chunks, after reopening too', () =>
      using(factory, async (harness) => {
        const first = await harness.open();
        const spool = await first.create(spoolHeader(1), CHUNK);
        for (const chunk of chunks(3)) await spool.append(chunk);
        await spool.sync();
        assert.equal(spool.chunkCount(), 3);
        assert.deepEqual((await copies(spool.chunks())).map(sameKind), chunks(3).map(sameKind));
        await spool.close();
        const store = await harness.open();
        const again = await store.open(uploadId(1));
        assert.ok(again);
        assert.deepEqual(again.header, spoolHeader(1));
        assert.equal(again.chunkCount(), 3);
        assert.deepEqual((await copies(again.chunks())).map(sameKind), chunks(3).map(sameKind));
        await again.close();
      }));

    it('goes on where it was closed', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const all = chunks(5);
        const spool = await store.create(spoolHeader(2), CHUNK);
        for (const chunk of all.slice(0, 2)) await spool.append(chunk);
        await spool.close();
        const resumed = await store.open(uploadId(2));
        assert.equal(resumed?.chunkCount(), 2);
        for (const chunk of all.slice(2)) await resumed.append(chunk);
        await resumed.sync();
        assert.deepEqual((await copies(resumed.chunks())).map(sameKind), all.map(sameKind));
        await resumed.close();
      }));

    it('forgets chunks and goes on in their place', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const all = chunks(4);
        const spool = await store.create(spoolHeader(8), CHUNK);
        for (const chunk of all) await spool.append(chunk);
        await spool.truncate(9);
        assert.equal(spool.chunkCount(), 4);
        await spool.truncate(1);
        assert.equal(spool.chunkCount(), 1);
        for (const chunk of all.slice(2)) await spool.append(chunk);
        await spool.sync();
        await spool.close();
        const again = await (await harness.open()).open(uploadId(8));
        assert.ok(again);
        const expected = [all[0], ...all.slice(2)];
        assert.deepEqual((await copies(again.chunks())).map(sameKind), expected.map(sameKind));
        await again.close();
      }));

    it('copies what it is given, and is not changed through what it gives', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const spool = await store.create(spoolHeader(3), CHUNK);
        const reused = new Uint8Array(100);
        for (const value of [1, 2, 3]) {
          reused.fill(value);
          await spool.append(reused);
        }
        for (let pass = 0; pass < 2; pass += 1) {
          const seen: (number | undefined)[] = [];
          for await (const chunk of spool.chunks()) {
            seen.push(chunk[99]);
            chunk.fill(0);
          }
          assert.deepEqual(seen, [1, 2, 3]);
        }
        await spool.close();
      }));

    it('keeps the order of appends that are not awaited', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const spool = await store.create(spoolHeader(4), CHUNK);
        await Promise.all(chunks(8).map((chunk) => spool.append(chunk)));
        assert.deepEqual((await copies(spool.chunks())).map(sameKind), chunks(8).map(sameKind));
        await spool.close();
      }));

    it('shows the chunks of one upload to two spools that are open', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const spool = await store.create(spoolHeader(5), CHUNK);
        await spool.append(patternBytes(10));
        const other = await store.open(uploadId(5));
        await spool.append(patternBytes(11));
        assert.equal(other?.chunkCount(), 2);
        await spool.close();
        assert.equal((await copies(other.chunks())).length, 2);
        await other.close();
      }));

    it('keeps uploads apart', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const ids = [10, 11, 12, 13];
        const spools = await Promise.all(ids.map((value) => store.create(spoolHeader(value), CHUNK)));
        await Promise.all(spools.map((spool, at) => spool.append(patternBytes(500, at + 1))));
        for (const [at, spool] of spools.entries()) {
          const [chunk] = await copies(spool.chunks());
          assert.deepEqual(sameKind(chunk), patternBytes(500, at + 1));
          await spool.close();
        }
        assert.deepEqual([...(await store.list())].sort(), ids.map(uploadId));
      }));

    it('refuses a second upload of the same id, and forgets a removed one', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const spool = await store.create(spoolHeader(6), CHUNK);
        await assert.rejects(store.create(spoolHeader(6), CHUNK), { code: 'ALREADY_EXISTS' });
        await spool.close();
        await assert.rejects(store.create(spoolHeader(6), CHUNK), { code: 'ALREADY_EXISTS' });
        await store.remove(uploadId(6));
        await store.remove(uploadId(6));
        assert.equal(await store.open(uploadId(6)), undefined);
        assert.deepEqual(await store.list(), []);
        const again = await store.create(spoolHeader(6), CHUNK);
        assert.equal(again.chunkCount(), 0);
        await again.close();
      }));

    it('appends nothing after it was closed', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const spool = await store.create(spoolHeader(7), CHUNK);
        await spool.close();
        await spool.close();
        await assert.rejects(spool.append(patternBytes(1)), { code: 'INTERNAL' });
      }));
  });
}

/** Copies of all chunks: each is valid only until the next is asked for. */
async function copies(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(new Uint8Array(chunk));
  return all;
}

/** Buffers and Uint8Arrays compare unequal although their bytes are the same. */
const sameKind = (bytes: Uint8Array | undefined): Uint8Array => new Uint8Array(bytes ?? []);
