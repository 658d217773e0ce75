import assert from 'node:assert/strict';

import { digestOf, type Digest } from '@tributary/proto';
import type { DownloadStore } from '@tributary/edge-agent/internal/transfer-ports.js';

import { collect, patternBytes } from '../support/bytes.js';
import { using, type SuiteOptions } from './harness.js';

const digest = digestOf(new Uint8Array([1]));
const other = digestOf(new Uint8Array([2]));
const pieces = [patternBytes(300_000, 1), patternBytes(1, 2), patternBytes(500_000, 3)];

/** What is kept of a blob, let go of again. */
async function keptOf(store: DownloadStore, of: Digest): Promise<Uint8Array> {
  const kept = await store.open(of);
  try {
    return await collect(kept.read());
  } finally {
    await kept.close();
  }
}

/** What every DownloadStore does. */
export function downloadStoreSuite({ name, factory }: SuiteOptions<DownloadStore>): void {
  describe(`DownloadStore: ${name}`, () => {
    it('gives back what arrived, after reopening too, and goes on behind it', () =>
      using(factory, async (harness) => {
        let held = Buffer.alloc(0);
        for (const piece of pieces) {
          const kept = await (await harness.open()).open(digest);
          assert.deepEqual(Buffer.from(await collect(kept.read())), held);
          await kept.append(piece);
          await kept.close();
          await kept.close();
          held = Buffer.concat([held, piece]);
        }
      }));

    it('keeps blobs apart, and forgets what is discarded', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const [first, second] = [await store.open(digest), await store.open(other)];
        await first.append(patternBytes(10, 1));
        await second.append(patternBytes(20, 2));
        await first.discard();
        await second.close();
        assert.equal((await keptOf(store, digest)).length, 0);
        assert.equal((await keptOf(store, other)).length, 20);
      }));

    it('keeps nothing of a second download of a blob beside the first', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const first = await store.open(digest);
        await first.append(patternBytes(10, 1));
        const second = await store.open(digest);
        assert.equal((await collect(second.read())).length, 0);
        await second.append(patternBytes(30, 2));
        await second.discard();
        await first.close();
        assert.equal((await keptOf(store, digest)).length, 10);
      }));
  });
}
