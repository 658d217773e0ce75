import assert from 'node:assert/strict';

import {
  Accumulator,
  canonicalize,
  decodeCheckpoint,
  encodeCheckpoint,
  TributaryError,
} from '@tributary/proto';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

const RANGE = 64;

function filled(length: number): Accumulator {
  const accumulator = new Accumulator({ length, range: RANGE, segmentLength: 7 });
  accumulator.fold(
    0,
    Float32Array.from({ length }, (_, index) => Math.sin(index)),
  );
  accumulator.fold(
    0,
    Float32Array.from({ length }, (_, index) => Math.cos(index)),
  );
  return accumulator;
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size)
    yield await Promise.resolve(bytes.subarray(start, start + size));
}

const encoded = (accumulator: Accumulator, folded: readonly string[]): Uint8Array =>
  new Uint8Array(Buffer.concat([...encodeCheckpoint(accumulator, folded)]));

describe('checkpoint of an accumulator', () => {
  const accumulator = filled(20);
  const bytes = encoded(accumulator, ['upl-1', 'upl-2']);
  const decode = (changed: Uint8Array, length = 20, range = RANGE): Promise<unknown> =>
    decodeCheckpoint(pieces(changed, 64), new Accumulator({ length, range }));

  it('restores sums, count and uploads from pieces of any size', async () => {
    for (const size of [1, 3, 4, 64, 1_000]) {
      const read = new Accumulator({ length: 20, range: RANGE });
      assert.deepEqual(await decodeCheckpoint(pieces(bytes, size), read), ['upl-1', 'upl-2']);
      assert.deepEqual(read.toSums(), accumulator.toSums());
      assert.equal(read.elements, 40);
    }
  });

  it('does not change while it is written and the accumulator goes on', async () => {
    const live = filled(20);
    const chunks: Uint8Array[] = [];
    for (const chunk of encodeCheckpoint(live, [])) chunks.push(chunk);
    live.fold(0, new Float32Array(20).fill(1));
    const read = new Accumulator({ length: 20, range: RANGE });
    await decodeCheckpoint(pieces(Buffer.concat(chunks), 64), read);
    assert.deepEqual(read.toSums(), filled(20).toSums());
  });

  it('is refused when any bit changed, when cut, or when longer', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: bytes.length * 8 - 1 }), async (bit) => {
        const flipped = Uint8Array.from(bytes);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        await assert.rejects(decode(flipped), (error) => error instanceof TributaryError);
      }),
    );
    for (const length of [0, 3, 4, 40, bytes.length - 1])
      await assert.rejects(decode(bytes.subarray(0, length)), refusal('STORE_CORRUPT', /early/));
    await assert.rejects(
      decode(Buffer.concat([bytes, Uint8Array.of(0)])),
      refusal('STORE_CORRUPT', /digest/),
    );
  });

  it('is refused for another vector and from a newer version', async () => {
    await assert.rejects(decode(bytes, 21), refusal('STORE_CORRUPT', /another vector/));
    await assert.rejects(decode(bytes, 20, 1_000), refusal('STORE_CORRUPT', /another vector/));
    const header = canonicalize({ formatVersion: 2, shards: 4 });
    const newer = Buffer.concat([Uint8Array.of(0, 0, 0, header.length), header]);
    await assert.rejects(decode(newer), refusal('FORMAT_UNSUPPORTED', /version 2/));
  });

  it('is refused before a wild header takes memory', async () => {
    await assert.rejects(decode(Uint8Array.of(255, 255, 255, 255, 0)), refusal('STORE_CORRUPT', /too long/));
    await assert.rejects(
      decode(Uint8Array.of(0, 0, 0, 2, 0x7b, 0x20)),
      refusal('STORE_CORRUPT', /canonical/),
    );
    await assert.rejects(decode(Uint8Array.of(0, 0, 0, 2, 0x7b, 0x7d)), refusal('STORE_CORRUPT', /header/));
  });
});
