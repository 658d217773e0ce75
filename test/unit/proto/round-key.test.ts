import assert from 'node:assert/strict';

import { roundKeyPair } from '@tributary/proto';
import { openContentKey, sealContentKey } from '@tributary/proto/internal/envelope/round-key.js';
import fc from 'fast-check';
import nacl from 'tweetnacl';

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const nonces = fc.uint8Array({ minLength: 24, maxLength: 24 });
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

describe('content keys', () => {
  it('are sealed and opened byte for byte as by nacl.box', () => {
    fc.assert(
      fc.property(key, key, key, nonces, (first, second, content, nonce) => {
        const [round, ephemeral] = [roundKeyPair(plain(first)), roundKeyPair(plain(second))];
        assert.deepEqual(round.publicKey, nacl.box.keyPair.fromSecretKey(plain(first)).publicKey);
        const sealed = sealContentKey(content, nonce, round.publicKey, ephemeral.secretKey);
        const expected = nacl.box(
          plain(content),
          plain(nonce),
          plain(round.publicKey),
          plain(ephemeral.secretKey),
        );
        assert.deepEqual(sealed, expected);
        assert.deepEqual(
          openContentKey(sealed, nonce, ephemeral.publicKey, round.secretKey),
          new Uint8Array(content),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('stay closed where anything was altered, and never throw', () => {
    const round = roundKeyPair(new Uint8Array(32).fill(1));
    const ephemeral = roundKeyPair(new Uint8Array(32).fill(2));
    const nonce = new Uint8Array(24);
    const sealed = sealContentKey(new Uint8Array(32).fill(3), nonce, round.publicKey, ephemeral.secretKey);
    fc.assert(
      fc.property(fc.nat({ max: sealed.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const altered = new Uint8Array(sealed);
        altered[at] = (altered[at] ?? 0) ^ flip;
        assert.equal(openContentKey(altered, nonce, ephemeral.publicKey, round.secretKey), undefined);
      }),
      { numRuns: 20 },
    );
    assert.equal(openContentKey(sealed, nonce, round.publicKey, round.secretKey), undefined);
  });

  it('do not open from points of small order', () => {
    const { secretKey } = roundKeyPair(new Uint8Array(32).fill(1));
    for (const point of [
      new Uint8Array(32),
      Uint8Array.from({ length: 32 }, (_, index) => Number(index === 0)),
    ]) {
      const sealed = nacl.box(new Uint8Array(32), new Uint8Array(24), point, secretKey);
      assert.equal(openContentKey(sealed, new Uint8Array(24), point, secretKey), undefined);
    }
  });
});
