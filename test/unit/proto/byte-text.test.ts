import assert from 'node:assert/strict';

import {
  decodeBase64,
  decodeBase64Url,
  decodeHex,
  encodeBase64,
  encodeBase64Url,
  encodeHex,
  formatId,
  isDigest,
  isName,
  requireDigest,
  requireId,
  requireName,
} from '@tributary/proto';
import { ByteReader } from '@tributary/proto/internal/byte-reader.js';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

const CODECS = [
  ['base64', encodeBase64, decodeBase64],
  ['base64url', encodeBase64Url, decodeBase64Url],
  ['hex', encodeHex, decodeHex],
] as const;

describe('bytes as text', () => {
  it('has the vectors of RFC 4648, section 10', () => {
    const vectors = [
      ['', ''],
      ['f', 'Zg=='],
      ['fo', 'Zm8='],
      ['foo', 'Zm9v'],
      ['foobar', 'Zm9vYmFy'],
    ] as const;
    for (const [text, base64] of vectors) {
      assert.equal(encodeBase64(Buffer.from(text)), base64);
      assert.equal(encodeBase64Url(Buffer.from(text)), base64.replaceAll('=', ''));
    }
    assert.equal(encodeHex(Buffer.from('foo')), '666f6f');
  });

  for (const [name, encode, decode] of CODECS) {
    it(`comes back from ${name}, and each bytes have one text only`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
          assert.deepEqual(decode(encode(bytes), 'x'), bytes);
          assert.deepEqual(decode(encode(bytes), 'x', bytes.length), bytes);
        }),
      );
      fc.assert(
        fc.property(fc.oneof(fc.string(), fc.base64String(), fc.stringMatching(/^[0-9a-fA-F]*$/)), (text) => {
          let bytes: Uint8Array;
          try {
            bytes = decode(text, 'key');
          } catch (error) {
            assert.ok(refusal('INVALID_ARGUMENT', /^key: /)(error));
            return;
          }
          assert.equal(encode(bytes), text);
        }),
      );
    });
  }

  it('names field and length where the length is wrong', () => {
    assert.throws(
      () => decodeBase64('AAAA', 'key', 32),
      refusal('INVALID_ARGUMENT', /key: 32 bytes .* not 3/),
    );
    for (const text of ['AB==', 'A', 'AA', 'AAAA\n', 'A==='])
      assert.throws(() => decodeBase64(text, 'key'), refusal('INVALID_ARGUMENT'));
    assert.throws(() => decodeBase64Url('AB', 'key'), refusal('INVALID_ARGUMENT'));
  });
});

describe('ids and names', () => {
  it('are made of 16 random bytes and recognised by prefix', () => {
    const id = formatId('agt', new Uint8Array(16).fill(255));
    assert.equal(id, `agt-${'f'.repeat(32)}`);
    assert.equal(requireId(id, 'agt', 'agentId'), id);
    assert.throws(() => requireId(id, 'job', 'jobId'), refusal('INVALID_ARGUMENT', /jobId/));
    assert.throws(() => formatId('agt', new Uint8Array(8)), refusal('INTERNAL'));
  });

  it('that could leave a folder or a label are refused', () => {
    for (const name of ['a', 'north-1', 'a.b', '0', 'x'.repeat(63)])
      assert.equal(requireName(name, 'site'), name);
    for (const name of ['', 'A', 'a/b', '..', 'a..b', '.a', 'a-', '-a', 'x'.repeat(64), 'a\n', 'ä']) {
      assert.equal(isName(name), false, name);
      assert.throws(() => requireName(name, 'site'), refusal('INVALID_ARGUMENT', /^site: /));
    }
  });

  it('of content are SHA-256 in lower-case hex', () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    assert.equal(requireDigest(digest, 'x'), digest);
    for (const text of ['', digest.slice(1), `${digest}0`, digest.replace('0', 'A'), `${digest}\n`]) {
      assert.equal(isDigest(text), false);
      assert.throws(() => requireDigest(text, 'blob'), refusal('INVALID_ARGUMENT', /^blob: /));
    }
  });
});

describe('byte reader', () => {
  const early = (): Error => new Error('early');

  it('takes exact counts from pieces of any length', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 9 })),
        fc.array(fc.nat({ max: 12 })),
        async (pieces, counts) => {
          const all = Buffer.concat(pieces);
          const reader = new ByteReader(pieces, early);
          let at = 0;
          for (const count of counts) {
            if (at + count > all.length) {
              await assert.rejects(reader.take(count), /early/);
              return;
            }
            assert.deepEqual(Buffer.from(await reader.take(count)), all.subarray(at, at + count));
            at += count;
          }
          assert.equal(await reader.atEnd(), at === all.length);
        },
      ),
    );
  });
});
