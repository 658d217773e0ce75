import assert from 'node:assert/strict';

import { decodeTail, encodeUpdate, UpdateCheck } from '@tributary/proto';
import { portableKernel } from '@tributary/proto/internal/accumulator/portable-kernel.js';
import { defaultKernel } from '@tributary/proto/internal/accumulator/kernels.js';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

const metrics = ['auc'];
const shape = { parameters: 5, metrics };
const bounds = { clipNorm: 2, weightCap: 100 };
const honest = encodeUpdate(
  Float32Array.of(1, -9, 3, 0, 5),
  { trainExamples: 70, loss: 0.7, groups: [{ examples: 30, metrics: { auc: 0.8 } }] },
  shape,
  bounds,
);

/** The honest vector with some elements replaced. */
function forged(changes: Readonly<Record<number, number>>): Float32Array {
  const vector = Float32Array.from(honest);
  for (const [index, value] of Object.entries(changes)) vector[Number(index)] = value;
  return vector;
}

for (const kernel of [defaultKernel, portableKernel]) {
  const check = (vector: Float32Array, chunk = vector.length): void => {
    const update = new UpdateCheck(shape, bounds, kernel);
    for (let start = 0; start < vector.length; start += chunk)
      update.push(vector.subarray(start, start + chunk));
    update.finish();
  };

  describe(`check of an update (${kernel.name})`, () => {
    it('passes what an honest site encodes, in chunks of any length', () => {
      for (let chunk = 1; chunk <= honest.length; chunk += 1) check(honest, chunk);
      fc.assert(
        fc.property(
          fc.float32Array({
            minLength: 5,
            maxLength: 5,
            noNaN: true,
            noDefaultInfinity: true,
            min: -1e9,
            max: 1e9,
          }),
          fc.integer({ min: 1, max: 1e6 }),
          fc.integer({ min: 0, max: 1e6 }),
          fc.double({ noNaN: true, noDefaultInfinity: true }),
          (delta, trainExamples, testExamples, value) => {
            check(
              encodeUpdate(
                delta,
                {
                  trainExamples,
                  loss: value,
                  groups: [{ examples: testExamples, metrics: { auc: value } }],
                },
                shape,
                bounds,
              ),
              3,
            );
          },
        ),
      );
    });

    it('refuses NaN and infinities wherever they are', () => {
      for (let at = 0; at < honest.length; at += 1) {
        for (const value of [Number.NaN, Infinity, -Infinity]) {
          assert.throws(() => check(forged({ [at]: value }), 4), refusal('UPDATE_NOT_FINITE'));
        }
      }
    });

    const outOfRange: readonly (readonly [what: string, changes: Readonly<Record<number, number>>])[] = [
      ['a value beyond the range', { 0: 65 }],
      ['a delta beyond its norm', { 0: 1.9, 1: 1.9 }],
      ['a weight of nothing', { 5: 0 }],
      ['a negative weight', { 5: -0.5 }],
      ['a weight above the cap', { 5: 1.5 }],
      ['a negative loss', { 6: -0.1 }],
      ['a loss beyond its bound', { 6: 63 }],
      ['a negative count', { 7: -0.1 }],
      ['a count above the cap', { 7: 1.1 }],
      ['a metric beyond its bound', { 8: 30 }],
      ['a metric without test rows', { 7: 0 }],
    ];
    for (const [what, changes] of outOfRange) {
      it(`refuses ${what}`, () =>
        assert.throws(() => check(forged(changes), 4), refusal('UPDATE_OUT_OF_RANGE')));
    }

    it('refuses a vector of another length', () => {
      assert.throws(() => check(honest.subarray(0, 8)), refusal('UPDATE_WRONG_SHAPE', /fewer than 9/));
      assert.throws(() => check(new Float32Array(10), 6), refusal('UPDATE_WRONG_SHAPE', /more than 9/));
    });
  });
}

describe('check of an update where nobody trains', () => {
  it('lets nobody weigh', () => {
    const shape = { parameters: 0, metrics: ['auc'], trains: false as const };
    const check = (...values: number[]): void => {
      const one = new UpdateCheck(shape, { clipNorm: 10, site: 'west' });
      one.push(Float32Array.from(values));
      one.finish();
    };
    check(0, 0, 0.5, 0.25);
    assert.throws(() => check(0.5, 0, 0.5, 0.25), refusal('UPDATE_OUT_OF_RANGE', /does not train/));
    assert.throws(() => check(0, 0.5, 0.5, 0.25), refusal('UPDATE_OUT_OF_RANGE', /loss/));
    const means = decodeTail(Float64Array.of(0, 0, 0.5, 0.25), shape);
    assert.deepEqual([means.metrics, means.loss], [{ auc: 0.5 }, Number.NaN]);
  });
});
