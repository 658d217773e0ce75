import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';

import { ownMasks, x25519PublicKey, type MaskBinding } from '@tributary/proto';
import { pairMask } from '@tributary/proto/internal/secagg/mask-keys.js';
import { portableRingKernel } from '@tributary/proto/internal/secagg/portable-ring-kernel.js';
import { x25519Shared } from '@tributary/proto/internal/sealing/x25519.js';
import fc from 'fast-check';

import { addMasks } from '../../support/masked-words.js';
import { SeededRandom } from '../../support/seeded-random.js';
import { BASE, OTHER_BASE, ROUND } from './secure-cohort.js';

const binding: MaskBinding = { round: ROUND, baseDigest: BASE, cohortDigest: `sha256:${'a'.repeat(64)}` };
const random = new SeededRandom(8);
const party = (name: string) => {
  const secret = new Uint8Array(random.bytes(32));
  return { agentId: `agt-${name}`, secret, maskKey: x25519PublicKey(secret) };
};
const [low, high] = [party('1'), party('2')];

describe('masks', () => {
  it('are AES-256-CTR over zeros as little-endian words, from any word on', () => {
    const key = new Uint8Array(random.bytes(32));
    const length = 50_000;
    const whole = new Uint32Array(length);
    addMasks(whole, 0, [{ key, sign: 1 }]);
    const bytes = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(4 * length));
    for (const index of [0, 1, 16_384, length - 1])
      assert.equal(whole[index], bytes.readUInt32LE(4 * index), String(index));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: length - 1 }),
        fc.integer({ min: 1, max: 20_000 }),
        (start, count) => {
          const part = new Uint32Array(Math.min(count, length - start));
          addMasks(part, start, [{ key, sign: 1 }], portableRingKernel);
          assert.deepEqual(part, whole.slice(start, start + part.length));
        },
      ),
      { numRuns: 30 },
    );
  });

  it('of a pair cancel, and the lower id adds', () => {
    const ours = pairMask(binding, low, low.secret, high);
    const theirs = pairMask(binding, high, high.secret, low);
    assert.equal(ours.sign, 1);
    assert.equal(theirs.sign, -1);
    const words = Uint32Array.of(1, 2, 3, 2 ** 32 - 1, 5);
    addMasks(words, 0, [ours]);
    assert.notDeepEqual(words, Uint32Array.of(1, 2, 3, 2 ** 32 - 1, 5));
    addMasks(words, 0, [theirs]);
    assert.deepEqual(words, Uint32Array.of(1, 2, 3, 2 ** 32 - 1, 5));
  });

  it('differ with everything that they are bound to', () => {
    const seed = new Uint8Array(random.bytes(32));
    const keys = (bound: MaskBinding): string[] =>
      ownMasks(bound, low.agentId, { maskSecret: low.secret, seed }, [high]).map(({ key }) =>
        Buffer.from(key).toString('hex'),
      );
    const others: MaskBinding[] = [
      binding,
      { ...binding, baseDigest: OTHER_BASE },
      { ...binding, cohortDigest: OTHER_BASE },
      ...(['logId', 'jobId', 'wire'] as const).map((field) => ({
        ...binding,
        round: { ...ROUND, [field]: 'x' },
      })),
      ...(['round', 'attempt'] as const).map((field) => ({ ...binding, round: { ...ROUND, [field]: 9 } })),
    ];
    const all = others.flatMap(keys);
    assert.equal(new Set(all).size, 2 * others.length);
  });

  it('refuse a peer whose key is a point of small order', () => {
    assert.throws(() => x25519Shared(new Uint8Array(32), low.secret));
  });
});
