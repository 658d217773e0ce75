import assert from 'node:assert/strict';

import fc from 'fast-check';
import { METRIC_NAMES } from '@tributary/proto';
import { accuracy } from '@tributary/edge-agent/internal/domain/metrics/accuracy.js';
import { auc } from '@tributary/edge-agent/internal/domain/metrics/auc.js';
import { aucInterval } from '@tributary/edge-agent/internal/domain/metrics/bootstrap.js';
import { brier } from '@tributary/edge-agent/internal/domain/metrics/brier.js';
import { logLoss } from '@tributary/edge-agent/internal/domain/metrics/log-loss.js';
import { measure } from '@tributary/edge-agent/internal/domain/metrics/metric-functions.js';
import type { Predictions } from '@tributary/edge-agent/internal/domain/metrics/predictions.js';
import { mae, rmse } from '@tributary/edge-agent/internal/domain/metrics/regression-error.js';
import { z } from 'zod';

import { NO_ORACLES, readOracle } from '../../support/oracles.js';

const predictions = (labels: readonly number[], scores: readonly number[], outputs = 1): Predictions => ({
  labels: Float32Array.from(labels),
  scores: Float32Array.from(scores),
  outputs,
});

const near = (actual: number, expected: number, tolerance = 1e-6): void => {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${String(actual)} is not ${String(expected)}`);
};

// Ten rows with ties; figures of scikit-learn 1.2.1 (roc_auc_score, brier_score_loss, log_loss).
const labels = [0, 0, 1, 1, 0, 1, 0, 1, 1, 0];
const scores = [0.1, 0.4, 0.35, 0.8, 0.2, 0.7, 0.65, 0.9, 0.5, 0.5];

describe('metrics', () => {
  it('agree with scikit-learn on ten rows with a tie', () => {
    near(auc({ labels, scores }), 0.82, 1e-12);
    near(brier.value(predictions(labels, scores)), 0.1695);
    near(logLoss.value(predictions(labels, scores)), 0.5010447311766042);
    assert.equal(accuracy.value(predictions(labels, scores)), 0.7);
  });

  it('give the AUC of all pairs, ties counting half, whatever the scores (property)', () => {
    const rows = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: -3, max: 3 })), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(rows, (drawn) => {
        const actual = auc({
          labels: drawn.map(([positive]) => Number(positive)),
          scores: drawn.map(([, score]) => score),
        });
        let [pairs, won] = [0, 0];
        for (const [positive, high] of drawn) {
          for (const [other, low] of drawn) {
            if (!positive || other) continue;
            pairs += 1;
            won += high > low ? 1 : high === low ? 0.5 : 0;
          }
        }
        if (pairs === 0) assert.ok(Number.isNaN(actual));
        else near(actual, won / pairs, 1e-12);
      }),
    );
  });

  it('rank infinite scores and refuse to rank NaN', () => {
    assert.equal(auc({ labels: [0, 1, 0, 1], scores: [-Infinity, Infinity, 0, Infinity] }), 1);
    assert.ok(Number.isNaN(auc({ labels: [0, 1], scores: [0, Number.NaN] })));
  });

  it('take the class of the highest score, the first of equal ones', () => {
    const three = predictions([2, 0, 1], [0.1, 0.2, 0.7, 0.4, 0.4, 0.2, 0.5, 0.3, 0.2], 3);
    near(accuracy.value(three), 2 / 3);
    near(logLoss.value(three), -(Math.log(0.7) + Math.log(0.4) + Math.log(0.3)) / 3);
  });

  it('keep the log loss finite for a certain and wrong score', () => {
    const wrong = logLoss.value(predictions([1, 0], [0, 1]));
    near(wrong, 23 * Math.LN2, 1e-3);
  });

  it('measure regressions in the unit of the label', () => {
    const three = predictions([1, 2, 3], [1, 4, 0]);
    near(rmse.value(three), Math.sqrt(13 / 3));
    near(mae.value(three), 5 / 3);
  });

  it('are all served by name, and undefined without rows', () => {
    const none = measure(METRIC_NAMES, predictions([], []));
    assert.deepEqual(Object.keys(none), [...METRIC_NAMES]);
    assert.ok(Object.values(none).every(Number.isNaN));
  });
});

describe('bootstrap interval of the AUC', () => {
  const options = { resamples: 400, level: 0.95, seed: 1 };

  it('is the same for the same seed, another for another, and holds the estimate', () => {
    const first = aucInterval({ labels, scores }, options);
    assert.deepEqual(aucInterval({ labels, scores }, options), first);
    assert.notDeepEqual(aucInterval({ labels, scores }, { ...options, seed: 2 }), first);
    assert.ok(first.low < 0.82 && 0.82 < first.high && first.low >= 0 && first.high <= 1);
  });

  it('narrows with more rows, as the standard error of Hanley and McNeil does', () => {
    const repeat = <T>(values: readonly T[]): T[] => Array.from({ length: 25 }, () => values).flat();
    const small = aucInterval({ labels, scores }, options);
    const large = aucInterval({ labels: repeat(labels), scores: repeat(scores) }, options);
    const ratio = (small.high - small.low) / (large.high - large.low);
    assert.ok(ratio > 3.5 && ratio < 7, String(ratio)); // sqrt(25) = 5
  });

  it('is undefined where a class is missing', () => {
    assert.ok(Number.isNaN(aucInterval({ labels: [1, 1], scores: [0.1, 0.2] }, options).low));
  });
});

const oracle = readOracle('metrics_sklearn_tests.json');
const oracleSchema = z.object({
  roc_auc: z.array(
    z.object({ y: z.array(z.number()), s: z.array(z.number()), auc: z.union([z.number(), z.string()]) }),
  ),
});

describe(`metrics of scikit-learn's own tests${oracle === undefined ? ` (not run: ${NO_ORACLES})` : ''}`, function () {
  it('agree; where scikit-learn raises for a single class, the AUC is NaN', function () {
    if (oracle === undefined) this.skip();
    const cases = oracleSchema.parse(oracle).roc_auc;
    assert.ok(cases.length >= 4);
    for (const { y, s, auc: expected } of cases) {
      assert.equal(auc({ labels: y, scores: s }), typeof expected === 'number' ? expected : Number.NaN);
    }
  });
});
