import assert from 'node:assert/strict';

import { LIMITS, openBytes, openStream, sealBytes, sealStream, TributaryError } from '@tributary/proto';
import { StreamCipher } from '@tributary/proto/internal/sealing/stream-cipher.js';
import fc from 'fast-check';

import { collect, patternBytes } from '../../support/bytes.js';
import { refusal } from '../../support/refusal.js';

const key = new Uint8Array(32).fill(1);
const options = { key, name: 'keys/ca', salt: new Uint8Array(32).fill(2) };

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  // One buffer for all pieces: a reader that kept a view would see the next piece in it.
  const buffer = new Uint8Array(size);
  for (let start = 0; start < bytes.length; start += size) {
    const part = bytes.subarray(start, start + size);
    buffer.set(part);
    yield await Promise.resolve(buffer.subarray(0, part.length));
  }
}

describe('sealing', () => {
  const long = patternBytes(2 * LIMITS.chunkBytes + 5);

  it('opens what it sealed, at once or as a stream, whatever the pieces', async () => {
    for (const length of [
      0,
      1,
      LIMITS.chunkBytes,
      LIMITS.chunkBytes + 1,
      2 * LIMITS.chunkBytes,
      long.length,
    ]) {
      const plaintext = long.subarray(0, length);
      const sealed = sealBytes(options, plaintext);
      assert.deepEqual(openBytes(options, sealed), Uint8Array.from(plaintext), String(length));
      for (const size of [70_001, LIMITS.chunkBytes, LIMITS.chunkBytes + 16, 5_000_000]) {
        assert.deepEqual(
          await collect(sealStream(options, pieces(plaintext, size))),
          sealed,
          `sealed ${String(length)} by ${String(size)}`,
        );
        assert.deepEqual(
          await collect(openStream(options, pieces(sealed, size))),
          Uint8Array.from(plaintext),
        );
      }
    }
  });

  it('never repeats a salt and never shows the plaintext', () => {
    const { key: sealingKey, name } = options;
    const secret = patternBytes(64);
    const [a, b] = [
      sealBytes({ key: sealingKey, name }, secret),
      sealBytes({ key: sealingKey, name }, secret),
    ];
    assert.notDeepEqual(a, b);
    assert.equal(Buffer.from(a).indexOf(secret.subarray(0, 8)), -1);
  });

  it('is broken by another key, another name, or any changed bit', () => {
    const sealed = sealBytes(options, patternBytes(40));
    assert.throws(() => openBytes({ ...options, key: new Uint8Array(32) }, sealed), refusal('SEAL_BROKEN'));
    assert.throws(() => openBytes({ ...options, name: 'keys/log' }, sealed), refusal('SEAL_BROKEN'));
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const flipped = Uint8Array.from(sealed);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(
        () => openBytes(options, flipped),
        (error) =>
          error instanceof TributaryError &&
          (error.code === 'SEAL_BROKEN' || (bit >> 3 === 8 && error.code === 'FORMAT_UNSUPPORTED')),
        `bit ${String(bit)}`,
      );
    }
  });

  it('is broken by lost, swapped or added chunks', async () => {
    const sealed = sealBytes(options, long);
    const [header, first, second, last] = [
      sealed.subarray(0, 45),
      sealed.subarray(45, 45 + LIMITS.chunkBytes + 16),
      sealed.subarray(45 + LIMITS.chunkBytes + 16, 45 + 2 * (LIMITS.chunkBytes + 16)),
      sealed.subarray(45 + 2 * (LIMITS.chunkBytes + 16)),
    ];
    const broken = [
      [header, first],
      [header, first, second],
      [header, second, first, last],
      [header, first, last],
      [header, first, second, last, last],
      [header],
      [],
    ];
    for (const parts of broken) {
      const bytes = Buffer.concat(parts);
      assert.throws(() => openBytes(options, bytes), refusal('SEAL_BROKEN'));
      await assert.rejects(collect(openStream(options, pieces(bytes, 100_000))), refusal('SEAL_BROKEN'));
    }
  });

  it('refuses what a newer version wrote', async () => {
    const sealed = sealBytes(options, long.subarray(0, 3));
    sealed[8] = 2;
    assert.throws(() => openBytes(options, sealed), refusal('FORMAT_UNSUPPORTED', /version 2/));
    await assert.rejects(collect(openStream(options, pieces(sealed, 10))), refusal('FORMAT_UNSUPPORTED'));
  });

  it('throws nothing else, whatever it is given', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, magic) => {
        const sealed = magic
          ? Buffer.concat([Buffer.from('TRIBSEAL\u0001\u0000\u0000\u0000\u0001'), bytes])
          : bytes;
        assert.throws(() => openBytes(options, sealed), refusal('SEAL_BROKEN'));
      }),
    );
    assert.throws(
      () => sealBytes({ ...options, key: new Uint8Array(16) }, long),
      refusal('INVALID_ARGUMENT', /sealing key/),
    );
  });

  it('lets its source go when the reader stops early', async () => {
    let closed = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for await (const piece of pieces(sealBytes(options, long), 100_000)) yield piece;
      } finally {
        closed = true;
      }
    }
    for await (const chunk of openStream(options, source())) {
      assert.equal(chunk.length, LIMITS.chunkBytes);
      break;
    }
    assert.equal(closed, true);
  });
});

describe('stream cipher', () => {
  const cipher = new StreamCipher(key, new Uint8Array(7), new Uint8Array(0));

  it('takes only whole tags: Node alone would take four bytes of one', () => {
    const sealed = cipher.seal(0, true, new Uint8Array(0));
    for (let length = 0; length < 16; length += 1)
      assert.equal(cipher.open(0, true, sealed.subarray(0, length)), undefined);
    assert.deepEqual(cipher.open(0, true, sealed)?.length, 0);
  });

  it('has 2^32 chunks and no more', () => {
    const last = 2 ** 32 - 1;
    assert.deepEqual([...(cipher.open(last, true, cipher.seal(last, true, Uint8Array.of(7))) ?? [])], [7]);
    assert.throws(() => cipher.seal(2 ** 32, true, new Uint8Array(0)), RangeError);
    assert.equal(cipher.open(2 ** 32, true, cipher.seal(0, true, new Uint8Array(0))), undefined);
  });
});
