import assert from 'node:assert/strict';

import fc from 'fast-check';
import {
  hashIntegers,
  mix32,
  seededRandom,
  shuffle,
} from '@tributary/edge-agent/internal/domain/datasets/seeded-random.js';
import { isTestRow } from '@tributary/edge-agent/internal/domain/datasets/split.js';

const testRows = (testFraction: number, splitSeed: number, rows: number): number[] =>
  Array.from({ length: rows }, (_, row) => row).filter((row) => isTestRow({ testFraction, splitSeed }, row));

// Computed apart, by a Python implementation of the documented formula.
const GOLDEN_ROWS = [2, 10, 27, 30, 33, 34, 35, 38];
const GOLDEN_HASHES = [3_553_795_876, 777_251_232, 2_557_801_207];

describe('dataset split', () => {
  it('never changes: a model trained by an older version must not be tested on its training rows', () => {
    assert.deepEqual(testRows(0.25, 1, 40), GOLDEN_ROWS);
    assert.deepEqual([hashIntegers(0), hashIntegers(1, 2), hashIntegers(2 ** 32 + 1, 7)], GOLDEN_HASHES);
  });

  it('holds back about the fraction asked for, and nothing for 0', () => {
    for (const fraction of [0.1, 0.3, 0.9]) {
      // Four standard deviations of a binomial share over 20,000 rows.
      const tolerance = 4 * Math.sqrt((fraction * (1 - fraction)) / 20_000);
      assert.ok(Math.abs(testRows(fraction, 5, 20_000).length / 20_000 - fraction) < tolerance);
    }
    assert.deepEqual(testRows(0, 5, 1_000), []);
  });

  it('is independent between seeds and between neighbouring rows', () => {
    const [first, second] = [new Set(testRows(0.5, 1, 20_000)), new Set(testRows(0.5, 2, 20_000))];
    const tolerance = 4 * Math.sqrt((0.25 * 0.75) / 20_000);
    const both = [...first].filter((row) => second.has(row)).length / 20_000;
    const pairs = [...first].filter((row) => first.has(row + 1)).length / 20_000;
    assert.ok(Math.abs(both - 0.25) < tolerance && Math.abs(pairs - 0.25) < tolerance);
  });

  it('only moves rows from training to test when the fraction grows (property)', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.nat(),
        fc.double({ min: 0, max: 0.8, noNaN: true }),
        (splitSeed, row, testFraction) => {
          if (isTestRow({ splitSeed, testFraction }, row)) {
            assert.ok(isTestRow({ splitSeed, testFraction: testFraction + 0.1 }, row));
          }
        },
      ),
    );
  });
});

describe('seeded randomness', () => {
  it('mixes words one to one', () => {
    const words = new Set(Array.from({ length: 50_000 }, (_, index) => mix32(index * 85_899)));
    assert.equal(words.size, 50_000);
  });

  it('shuffles to a permutation, each place equally likely', () => {
    const counts = new Float64Array(25);
    for (let seed = 0; seed < 10_000; seed += 1) {
      const values = Uint32Array.of(0, 1, 2, 3, 4);
      shuffle(values, seededRandom(seed, 1));
      assert.deepEqual([...values].sort(), [0, 1, 2, 3, 4]);
      for (const [place, value] of values.entries())
        counts[place * 5 + value] = (counts[place * 5 + value] ?? 0) + 1;
    }
    // 10,000 / 5 expected; four standard deviations.
    for (const count of counts) assert.ok(Math.abs(count - 2_000) < 160, String(count));
  });
});
