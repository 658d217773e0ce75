import assert from 'node:assert/strict';

import { MemoryDownloads } from '@tributary/edge-agent/internal/adapters/files/memory-downloads.js';
import { systemClock } from '@tributary/edge-agent/internal/adapters/system/clock.js';
import { systemRandom } from '@tributary/edge-agent/internal/adapters/system/random.js';
import { downloadBlob, type DownloadParts } from '@tributary/edge-agent/internal/app/base-model.js';
import type { FleetClient } from '@tributary/edge-agent/internal/ports.js';
import { digestOf, LIMITS } from '@tributary/proto';

import { collect, patternBytes } from '../../support/bytes.js';
import { refusal } from '../../support/refusal.js';

const WHOLE = patternBytes(LIMITS.chunkBytes + 1_000, 1);
const NAMED = {
  jobId: `job-${'1'.repeat(32)}`,
  round: 1,
  digest: digestOf(WHOLE),
  bytes: WHOLE.length,
};

/** Serves `content` from the offset that is asked for, and remembers which was. */
function serving(content: () => Uint8Array): { parts: DownloadParts; offsets: number[] } {
  const offsets: number[] = [];
  const client: Pick<FleetClient, 'fetchBlob'> = {
    fetchBlob: async function* ({ offset }) {
      await Promise.resolve();
      offsets.push(offset);
      yield content().subarray(offset);
    },
  };
  const parts = {
    client: () => client as FleetClient,
    downloads: new MemoryDownloads(),
    clock: systemClock,
    random: systemRandom,
  };
  return { parts, offsets };
}

describe('a download that is kept', () => {
  it('is refused where it is longer than it should be, and nothing of it is kept for the next try', async () => {
    let content: Uint8Array = patternBytes(WHOLE.length + 10, 1);
    const { parts, offsets } = serving(() => content);
    const fetch = (): Promise<Uint8Array> =>
      collect(downloadBlob(parts, NAMED, new AbortController().signal));
    await assert.rejects(fetch(), refusal('PROOF_INVALID', /longer/));
    content = WHOLE;
    assert.deepEqual(await fetch(), WHOLE);
    assert.deepEqual(offsets, [0, 0]);
    // What is whole is kept: another process would ask for nothing.
    assert.deepEqual(await fetch(), WHOLE);
    assert.deepEqual(offsets, [0, 0]);
  });
});
