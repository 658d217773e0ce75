import assert from 'node:assert/strict';

import {
  applyMean,
  decodeSums,
  decodeTail,
  deltaFactor,
  encodeUpdate,
  exampleWeight,
  squaredNorm,
  tailLength,
  updateRange,
  updateTail,
  VALUE_BOUND,
  vectorLength,
} from '@tributary/proto';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

const bounds = { clipNorm: 10, weightCap: 100 };
const metrics = ['auc', 'accuracy'];
const all = { examples: 25, metrics: { auc: 0.75, accuracy: 0.5 } };
const numbers = { trainExamples: 50, loss: 0.5, groups: [all] };
const shape = { metrics };
const none = { metrics: [] };
const norm = (values: Float32Array): number => Math.sqrt(squaredNorm(values));

describe('update vector', () => {
  it('is weighted delta, weight, loss, count and metrics', () => {
    const vector = encodeUpdate(Float32Array.of(2, -4, 0), numbers, shape, bounds);
    assert.deepEqual([...vector], [1, -2, 0, 0.5, 0.25, 0.25, 0.1875, 0.125]);
    assert.equal(vector.length, vectorLength({ parameters: 3, metrics }));
  });

  it('weighs a site by its examples up to the cap', () => {
    assert.equal(exampleWeight(50, 100), 0.5);
    assert.equal(exampleWeight(1_000, 100), 1);
    assert.equal(
      encodeUpdate(Float32Array.of(2), { ...numbers, trainExamples: 1_000_000 }, none, bounds)[0],
      2,
    );
  });

  it('clips a long delta to the norm and leaves a short one', () => {
    fc.assert(
      fc.property(
        fc.float32Array({
          minLength: 1,
          maxLength: 50,
          noNaN: true,
          noDefaultInfinity: true,
          min: -1e6,
          max: 1e6,
        }),
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        (delta, clipNorm) => {
          const vector = encodeUpdate(delta, { ...numbers, trainExamples: 100 }, none, {
            clipNorm,
            weightCap: 100,
          });
          const clipped = vector.subarray(0, delta.length);
          assert.ok(norm(clipped) <= clipNorm * (1 + 1e-6));
          if (norm(delta) <= clipNorm) assert.deepEqual(clipped, delta);
          // 32-bit rounding aside, only the length changes, not the direction.
          const scale = Math.min(1, clipNorm / norm(delta));
          for (const [index, value] of delta.entries()) {
            const expected = value * (Number.isFinite(scale) ? scale : 1);
            assert.ok(Math.abs((clipped[index] ?? 0) - expected) <= Math.abs(expected) * 1e-6 + 1e-37);
          }
        },
      ),
    );
  });

  it('stays within the range that accumulators are scaled for', () => {
    const tail = updateTail(
      {
        ...numbers,
        trainExamples: 100,
        loss: 1e30,
        groups: [{ examples: 100, metrics: { auc: -1e9, accuracy: 1e9 } }],
      },
      shape,
      100,
    );
    assert.deepEqual([...tail], [1, VALUE_BOUND, 1, -VALUE_BOUND, VALUE_BOUND]);
    assert.equal(updateRange({ clipNorm: 1 }), VALUE_BOUND);
    assert.equal(updateRange({ clipNorm: 100 }), 100);
    assert.equal(updateTail({ ...numbers, loss: -3 }, none, 100)[1], 0);
  });

  it('counts a site with an undefined metric as one without test rows', () => {
    for (const undefinedMetric of [{ auc: Number.NaN, accuracy: 0.5 }, { accuracy: 0.5 }]) {
      assert.deepEqual(
        [...updateTail({ ...numbers, groups: [{ ...all, metrics: undefinedMetric }] }, shape, 100)].slice(2),
        [0, 0, 0],
      );
    }
    assert.deepEqual(
      [...updateTail({ ...numbers, groups: [{ ...all, examples: 0 }] }, shape, 100)].slice(2),
      [0, 0, 0],
    );
  });

  it('refuses diverged training and impossible counts', () => {
    for (const value of [Number.NaN, Infinity]) {
      assert.throws(
        () => encodeUpdate(Float32Array.of(1, value), numbers, shape, bounds),
        refusal('TRAINING_DIVERGED'),
      );
      assert.throws(
        () => encodeUpdate(Float32Array.of(1), { ...numbers, loss: value }, shape, bounds),
        refusal('TRAINING_DIVERGED'),
      );
      assert.throws(() => deltaFactor(value, 1, bounds), refusal('TRAINING_DIVERGED'));
    }
    for (const trainExamples of [0, -1, 1.5, Number.NaN]) {
      assert.throws(
        () => updateTail({ ...numbers, trainExamples }, shape, 100),
        refusal('INVALID_ARGUMENT', /trainExamples/),
      );
    }
    assert.throws(
      () => updateTail({ ...numbers, groups: [{ ...all, examples: -1 }] }, shape, 100),
      refusal('INVALID_ARGUMENT', /examples/),
    );
    const groups = Array.from({ length: 257 }, () => ({ type: 'All' as const }));
    assert.throws(() => tailLength({ metrics, groups }), refusal('LIMIT_EXCEEDED', /256 groups/));
    assert.throws(
      () => tailLength({ metrics: Array.from({ length: 8_190 }, String) }),
      refusal('LIMIT_EXCEEDED', /8190 figures/),
    );
  });
});

describe('sums of update vectors', () => {
  it('give the weighted mean of the deltas, losses and metrics', () => {
    const sites = [
      { delta: Float32Array.of(1, 2), numbers },
      {
        delta: Float32Array.of(-3, 4),
        numbers: {
          ...numbers,
          trainExamples: 150,
          loss: 1,
          groups: [{ examples: 75, metrics: { auc: 1, accuracy: 0 } }],
        },
      },
    ];
    const sums = new Float64Array(7);
    for (const site of sites)
      encodeUpdate(site.delta, site.numbers, shape, bounds).forEach(
        (value, index) => (sums[index] = (sums[index] ?? 0) + value),
      );
    const base = Float32Array.of(10, 20);
    const decoded = decodeSums(base, sums, shape);
    // Weights 0.5 and 1 (capped), counts 0.25 and 0.75.
    assert.equal(decoded.weight, 1.5);
    assert.equal(decoded.loss, (0.5 * 0.5 + 1) / 1.5);
    assert.equal(decoded.metrics['auc'], 0.25 * 0.75 + 0.75);
    assert.equal(decoded.metrics['accuracy'], 0.25 * 0.5);
    assert.deepEqual(
      [...decoded.weights],
      [Math.fround(10 + (0.5 - 3) / 1.5), Math.fround(20 + (1 + 4) / 1.5)],
    );
    assert.deepEqual([...base], [10, 20]);
  });

  it('have no metrics where no site has test rows', () => {
    assert.ok(Number.isNaN(decodeTail(Float64Array.of(1, 0.5, 0, 0), { metrics: ['auc'] }).metrics['auc']));
  });

  it('are refused without weight, or for another job', () => {
    for (const weight of [0, -1, Number.NaN]) {
      assert.throws(() => decodeTail(Float64Array.of(weight, 0, 0), none), refusal('UPDATE_OUT_OF_RANGE'));
    }
    assert.throws(() => decodeTail(Float64Array.of(1, 0, 0), { metrics: ['auc'] }), refusal('INTERNAL'));
    assert.throws(() => applyMean(new Float32Array(2), new Float64Array(3), 1), refusal('INTERNAL'));
  });
});
