import assert from 'node:assert/strict';
import { Readable } from 'node:stream';

import { credentials } from '@grpc/grpc-js';
import { Fleet, Ledger } from '@tributary/proto/grpc';
import { FleetChannel } from '@tributary/edge-agent/internal/adapters/grpc/fleet-channel.js';
import type { UploadPart } from '@tributary/edge-agent/internal/ports.js';

/** Nobody listens there, and nobody needs to: a closed channel does not get that far. */
const NOWHERE = '127.0.0.1:9';

async function* parts(): AsyncGenerator<UploadPart> {
  await Promise.resolve();
  yield { type: 'Seal', chunkCount: 0, tagsDigest: new Uint8Array(32), signature: new Uint8Array(64) };
}

describe('a channel that was replaced', () => {
  it('refuses further calls with an error after which they are tried again', async () => {
    const [fleet, ledger] = [Fleet, Ledger].map(
      (Client) => new Client(NOWHERE, credentials.createInsecure()),
    );
    const channel = new FleetChannel(fleet as never, ledger as never, { count: () => undefined });
    channel.close();
    const signal = new AbortController().signal;
    const late = { code: 'UNAVAILABLE', retryable: true };
    await assert.rejects(channel.submitUpdate(parts(), signal, 'job'), late);
    await assert.rejects(channel.uploadStatus(`upl-${'0'.repeat(32)}`, signal), late);
    await assert.rejects(channel.consistencyProof(1, 2), late);
    const request = { jobId: 'job', round: 1, digest: `sha256:${'0'.repeat(64)}`, offset: 0 } as const;
    await assert.rejects(channel.fetchBlob(request, signal).next(), late);
    assert.throws(() => channel.connect(), late);
  });
});

describe('pieces of a blob', () => {
  it('that hold nothing, or do not follow each other, end the download', async () => {
    const signal = new AbortController().signal;
    const request = { jobId: 'job', round: 1, digest: `sha256:${'0'.repeat(64)}`, offset: 0 } as const;
    for (const [field, chunk] of [
      ['data', { offset: '1', data: Buffer.alloc(0) }],
      ['offset', { offset: '5', data: Buffer.alloc(1) }],
    ] as const) {
      const pieces = Readable.from([{ offset: '0', data: Buffer.alloc(1) }, chunk]);
      const fleet = { makeServerStreamRequest: () => Object.assign(pieces, { cancel: () => undefined }) };
      const channel = new FleetChannel(fleet as never, {} as never, { count: () => undefined });
      const download = channel.fetchBlob(request, signal);
      assert.equal((await download.next()).value?.length, 1);
      await assert.rejects(download.next(), {
        code: 'INVALID_ARGUMENT',
        message: new RegExp(`^blobChunk.${field}`),
      });
    }
  });
});
