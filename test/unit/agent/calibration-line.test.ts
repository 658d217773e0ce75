import assert from 'node:assert/strict';

import {
  calibrationIntercept,
  calibrationSlope,
} from '@tributary/edge-agent/internal/domain/metrics/calibration-line.js';
import type { Predictions } from '@tributary/edge-agent/internal/domain/metrics/predictions.js';
import fc from 'fast-check';

import { SeededRandom } from '../../support/seeded-random.js';

const sigmoid = (logit: number): number => 1 / (1 + Math.exp(-logit));

/** Logits within ±2, and outcomes that follow from them; 200 rows, so that both classes occur. */
function drawRows(seed: number): { readonly logits: readonly number[]; readonly labels: Float32Array } {
  const random = new SeededRandom(seed);
  const uniform = (): number => random.uint32() / 2 ** 32;
  const logits = Array.from({ length: 200 }, () => 4 * uniform() - 2);
  return { logits, labels: Float32Array.from(logits, (logit) => Number(uniform() < sigmoid(logit))) };
}

const predictionsOf = (logits: readonly number[], labels: Float32Array): Predictions => ({
  scores: Float32Array.from(logits, sigmoid),
  labels,
  outputs: 1,
});

const near = (actual: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${String(actual)} is not ${String(expected)}`);

describe('calibration line', () => {
  it('has 1 / k of the slope for logits k times as far out, however far off the model is (property)', () => {
    fc.assert(
      fc.property(
        fc.nat(1_000_000),
        fc.double({ min: 0.1, max: 4, noNaN: true }),
        fc.double({ min: -3, max: 3, noNaN: true }),
        (seed, factor, shift) => {
          const { logits, labels } = drawRows(seed);
          const far = logits.map((logit) => factor * logit + shift);
          const slope = calibrationSlope.value(predictionsOf(logits, labels));
          // A probability of float32 near 1 knows its logit of 11 to two digits.
          near(calibrationSlope.value(predictionsOf(far, labels)) * factor, slope, 0.01);
        },
      ),
    );
  });

  it('has the intercept at which as many are expected as occur, however far off the model is (property)', () => {
    fc.assert(
      fc.property(
        fc.nat(1_000_000),
        fc.double({ min: 0.1, max: 8, noNaN: true }),
        fc.double({ min: -8, max: 8, noNaN: true }),
        (seed, factor, shift) => {
          const { logits, labels } = drawRows(seed);
          // Kept within what float32 tells apart from 1.
          const far = logits.map((logit) => Math.max(-12, Math.min(12, factor * logit + shift)));
          const predictions = predictionsOf(far, labels);
          const intercept = calibrationIntercept.value(predictions);
          const expected = [...predictions.scores].reduce((sum, probability) => {
            return sum + sigmoid(intercept + Math.log(probability / (1 - probability)));
          }, 0);
          near(
            expected,
            labels.reduce((sum, label) => sum + label, 0),
            1e-6,
          );
        },
      ),
    );
  });

  it('is undefined where a class is missing, and has no slope where one score separates the classes', () => {
    const scores = Float32Array.of(0.2, 0.4, 0.6, 0.8);
    const one = { scores, labels: Float32Array.of(1, 1, 1, 1), outputs: 1 };
    assert.ok(Number.isNaN(calibrationSlope.value(one)));
    assert.ok(Number.isNaN(calibrationIntercept.value(one)));
    const separated = { scores, labels: Float32Array.of(0, 0, 1, 1), outputs: 1 };
    assert.ok(Number.isNaN(calibrationSlope.value(separated)));
    near(calibrationIntercept.value(separated), 0, 1e-6);
  });
});
