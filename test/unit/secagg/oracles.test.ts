import assert from 'node:assert/strict';

import { combineShares } from '@tributary/proto/internal/secagg/shamir.js';
import { x25519Shared } from '@tributary/proto/internal/sealing/x25519.js';
import { z } from 'zod';

import { NO_ORACLES, readOracle } from '../../support/oracles.js';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

const schema = z.object({
  wycheproof: z.object({
    files: z.object({
      x25519_test: z.object({
        sample: z.array(
          z.object({
            tcId: z.int(),
            public: z.string(),
            private: z.string(),
            shared: z.string(),
            result: z.string(),
          }),
        ),
      }),
    }),
  }),
  shamir: z.object({
    gf256_example_0x11b: z.object({ secret: z.int(), shares: z.array(z.tuple([z.int(), z.int()])) }),
  }),
});

const oracle = readOracle('crypto_vectors.json');

describe(`secure aggregation against oracles${oracle === undefined ? ` (not run: ${NO_ORACLES})` : ''}`, function () {
  before(function () {
    if (oracle === undefined) this.skip();
  });

  it('X25519 agrees with Wycheproof', () => {
    const { sample } = schema.parse(oracle).wycheproof.files.x25519_test;
    let agreed = 0;
    for (const { tcId, public: key, private: secret, shared } of sample) {
      // A shared secret of zero is what this side refuses.
      if (/^0+$/.test(shared))
        assert.throws(() => x25519Shared(hex(key), hex(secret)), `case ${String(tcId)}`);
      else assert.deepEqual(x25519Shared(hex(key), hex(secret)), hex(shared), `case ${String(tcId)}`);
      agreed += 1;
    }
    assert.ok(agreed >= 10);
  });

  it('shares over GF(256) combine as in the worked example: degree two, any three of five', async () => {
    const { secret, shares } = schema.parse(oracle).shamir.gf256_example_0x11b;
    // Each byte of a secret has its own polynomial: here the same one 32 times.
    const asShare = ([place, value]: [number, number]): Uint8Array =>
      Uint8Array.from([...Array.from({ length: 32 }, () => value), place]);
    for (const picked of [
      [0, 1, 2],
      [2, 3, 4],
      [0, 2, 4],
    ]) {
      const some = picked.map((index) => asShare(shares[index] ?? [0, 0]));
      assert.deepEqual(await combineShares(some), new Uint8Array(32).fill(secret));
    }
    const [first, second] = [asShare(shares[0] ?? [0, 0]), asShare(shares[1] ?? [0, 0])];
    assert.notDeepEqual(await combineShares([first, second]), new Uint8Array(32).fill(secret));
    assert.equal(await combineShares([first, first]), undefined);
  });
});
