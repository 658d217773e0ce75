import assert from 'node:assert/strict';

import {
  Accumulator,
  decodeTail,
  RingEncoder,
  ringLength,
  ringScale,
  RingSum,
  updateTail,
  type RingShape,
} from '@tributary/proto';
import { PIECE_WORDS } from '@tributary/proto/internal/secagg/ring-kernel.js';
import { portableRingKernel } from '@tributary/proto/internal/secagg/portable-ring-kernel.js';
import { wasmRingKernel } from '@tributary/proto/internal/secagg/wasm-ring-kernel.js';
import { limbsOf, sumOfLimbs } from '@tributary/proto/internal/secagg/tail-limbs.js';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';
import { SeededRandom } from '../../support/seeded-random.js';

const SEED = new Uint8Array(new SeededRandom(4).bytes(32));

function encode(
  shape: RingShape,
  agents: number,
  clipNorm: number,
  delta: Float32Array,
  tail: Float32Array,
  seed = SEED,
): Uint8Array {
  const scale = ringScale(agents, clipNorm);
  const encoder = new RingEncoder({ shape, scale, rounding: { seed }, masks: [] });
  return Buffer.concat([encoder.push(delta), encoder.finish(tail, false)]);
}

describe('ring kernels', () => {
  const wasm = wasmRingKernel();

  it('agree bit for bit', function () {
    if (wasm === undefined) return this.skip();
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.integer({ min: 1, max: PIECE_WORDS }),
        fc.double({ min: 1e-3, max: 1e9, noNaN: true }),
        (seed, count, scale) => {
          const random = new SeededRandom(seed);
          const [ours, oracle] = [wasm.piece(), portableRingKernel.piece()];
          const values = Float32Array.from({ length: count }, () => (random.uint32() / 2 ** 31 - 1) * 4);
          const noise = random.bytes(4 * count);
          for (const piece of [ours, oracle]) {
            piece.quantise(values, noise, scale, Math.min(2 ** 31 - 2, 3.9 * scale));
            piece.add(noise.subarray(0, 4 * count));
            piece.subtract(noise.subarray(0, 4 * Math.ceil(count / 2)));
          }
          assert.deepEqual(ours.words.slice(0, count), oracle.words.slice(0, count));
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('the scale of the ring', () => {
  it('never lets n clipped values leave an int32, whatever they are rounded to', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4_096 }),
        fc.double({ min: 1e-6, max: 500, noNaN: true }),
        fc.constantFrom(1, -1),
        (agents, clipNorm, sign) => {
          const { scale, most } = ringScale(agents, clipNorm);
          const worst = sign === 1 ? Math.floor(most + 1) : Math.floor(-most);
          assert.ok(Math.abs(agents * worst) <= 2 ** 31 - 1);
          assert.equal(most, scale * clipNorm);
        },
      ),
    );
    assert.equal(ringScale(10, 8).scale, Math.floor(((2 ** 31 - 1) / 10 - 1) / 8));
    assert.throws(() => ringScale(4_096, 1e6), refusal('SECAGG_IMPOSSIBLE', /no resolution/));
    assert.throws(() => ringScale(3, 0), refusal('INVALID_ARGUMENT'));
  });

  it('takes the largest values of n sites without overflow', () => {
    const shape = { parameters: 3, tail: 1 };
    const sum = new RingSum(shape);
    for (let site = 0; site < 7; site += 1) {
      const words = encode(shape, 7, 5, Float32Array.of(5, 0, 0), Float32Array.of(1), Buffer.alloc(32, site));
      sum.add(0, words);
    }
    const into = new Float64Array(3);
    sum.open(ringScale(7, 5), 7).readSums(0, into);
    assert.ok(Math.abs((into[0] ?? 0) - 35) < 1e-7, String(into[0]));
  });
});

describe('the ring encoding', () => {
  const shape = { parameters: 4, tail: 2 };
  const tail = Float32Array.of(0.5, 1);
  const encoder = (): RingEncoder =>
    new RingEncoder({ shape, scale: ringScale(3, 1), rounding: { seed: SEED }, masks: [] });

  it('refuses what is not finite, too large, too long or too short', () => {
    assert.throws(() => encoder().push(Float32Array.of(Number.NaN)), refusal('UPDATE_NOT_FINITE'));
    assert.throws(() => encoder().push(Float32Array.of(-Infinity)), refusal('UPDATE_NOT_FINITE'));
    assert.throws(() => encoder().push(Float32Array.of(1.001)), refusal('UPDATE_OUT_OF_RANGE'));
    assert.throws(() => encoder().push(new Float32Array(5)), refusal('UPDATE_WRONG_SHAPE', /more/));
    assert.throws(() => encoder().finish(tail, false), refusal('UPDATE_WRONG_SHAPE', /fewer/));
    const full = encoder();
    full.push(new Float32Array(4));
    assert.throws(() => full.finish(Float32Array.of(0.5, 65), false), refusal('UPDATE_OUT_OF_RANGE'));
    assert.throws(() => full.finish(Float32Array.of(0.5, Number.NaN), false), refusal('UPDATE_NOT_FINITE'));
    assert.throws(
      () => new RingSum(shape).add(ringLength(shape), new Uint8Array(4)),
      refusal('UPDATE_WRONG_SHAPE'),
    );
  });

  it('rounds without bias: the mean of a value between two steps is within six standard errors', () => {
    const parameters = 400_000;
    const scale = ringScale(3, 1);
    for (const part of [0.125, 0.5, 0.9]) {
      // One value a third up its scale, shifted between two steps.
      const value = Math.fround((Math.floor(scale.scale / 1_048_576) + part) / scale.scale);
      const steps = value * scale.scale;
      const fraction = steps - Math.floor(steps);
      const words = new Int32Array(
        encode(
          { parameters, tail: 1 },
          3,
          1,
          new Float32Array(parameters).fill(value),
          Float32Array.of(1),
        ).buffer.slice(0),
      ).subarray(0, parameters);
      const up = words.reduce((count, word) => count + word - Math.floor(steps), 0);
      const error = 6 * Math.sqrt(parameters * fraction * (1 - fraction)) + 1;
      assert.ok(Math.abs(up - parameters * fraction) < error, `${String(part)}: ${String(up)}`);
      assert.ok(words.every((word) => word === Math.floor(steps) || word === Math.floor(steps) + 1));
    }
  });
});

describe('the tail of the ring', () => {
  it('adds up to the same bits as the plain accumulator', () => {
    const value = fc.oneof(
      fc.float({ min: -64, max: 64, noNaN: true }),
      fc.float({ min: Math.fround(-1e-9), max: Math.fround(1e-9), noNaN: true }),
      fc.constantFrom(64, -64, 0, 1),
    );
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 60 }), (values) => {
        const plain = new Accumulator({ length: 1, range: 64 });
        const limbs = [0, 0, 0];
        for (const one of values) {
          plain.fold(0, Float32Array.of(one));
          limbsOf(Math.fround(one)).forEach((limb, index) => {
            limbs[index] = ((limbs[index] ?? 0) + limb) >>> 0;
          });
        }
        const [low = 0, middle = 0, high = 0] = limbs;
        assert.equal(sumOfLimbs(low, middle, high, values.length), plain.toSums()[0]);
      }),
    );
  });

  it('keeps a metric of few rows: one row of a weight cap of ten thousand', () => {
    const metrics = { metrics: ['auc'], intervals: true } as const;
    const tail = updateTail(
      {
        trainExamples: 1,
        loss: 0.7,
        groups: [{ examples: 1, metrics: { auc: 0.8 }, variances: { auc: 0.01 } }],
      },
      metrics,
      10_000,
    );
    const shape = { parameters: 1, tail: tail.length };
    const sum = new RingSum(shape);
    for (let site = 0; site < 1_000; site += 1)
      sum.add(0, encode(shape, 1_000, 10, new Float32Array(1), tail));
    const means = decodeTail(sum.open(ringScale(1_000, 10), 1_000).tail, metrics);
    assert.ok(Math.abs(means.loss - 0.7) < 1e-6);
    assert.ok(Math.abs((means.metrics['auc'] ?? 0) - 0.8) < 1e-6);
    assert.ok(Math.abs((means.groups[0]?.standardErrors?.['auc'] ?? 0) - 0.1 / Math.sqrt(1_000)) < 1e-5);
  });
});

describe('opening a sum', () => {
  const shape = { parameters: 2, tail: 1 };
  const scale = ringScale(3, 1);
  const sumOf = (...deltas: readonly Float32Array[]): RingSum => {
    const sum = new RingSum(shape);
    for (const delta of deltas) sum.add(0, encode(shape, 3, 1, delta, Float32Array.of(0.5)));
    return sum;
  };
  const invalid = (text: RegExp) => refusal('SECAGG_SUM_INVALID', text);

  it('refuses another number of sites, a lifted word, and a delta longer than its weights', () => {
    const two = sumOf(Float32Array.of(0.3, 0), Float32Array.of(0.1, 0.2));
    assert.equal(two.open(scale, 2).tail[0], 1);
    assert.throws(() => two.open(scale, 3), invalid(/control/));
    two.words[0] = 2 ** 30;
    two.words[1] = 2 ** 30;
    assert.throws(() => two.open(scale, 2), invalid(/longer/));
    two.words[0] = 2 ** 31 - 1;
    assert.throws(() => two.open(scale, 2), invalid(/out of range/));
    assert.throws(() => sumOf(Float32Array.of(0.9, 0)).open(scale, 1), invalid(/longer/));
    const figure = sumOf(Float32Array.of(0, 0));
    figure.words[figure.words.length - 1] = 2 ** 30;
    assert.throws(() => figure.open(scale, 1), invalid(/figure 0/));
  });
});
