import assert from 'node:assert/strict';

import { aucCovariance, aucVariance } from '@tributary/edge-agent/internal/domain/metrics/auc.js';
import { calibrationBins } from '@tributary/edge-agent/internal/domain/metrics/calibration-error.js';
import { measure, measureVariances } from '@tributary/edge-agent/internal/domain/metrics/metric-functions.js';
import type { Predictions } from '@tributary/edge-agent/internal/domain/metrics/predictions.js';
import {
  decodeTail,
  INTERVAL_95,
  METRIC_NAMES,
  METRICS,
  tailLength,
  updateTail,
  type MetricName,
} from '@tributary/proto';
import { z } from 'zod';

import { NO_ORACLES, readOracle } from '../../support/oracles.js';
import { SeededRandom } from '../../support/seeded-random.js';

const near = (actual: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${String(actual)} is not ${String(expected)}`);

/** Uniform numbers in [0, 1) and normal ones, from a seed. */
class Draws {
  readonly #random: SeededRandom;
  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }
  uniform(): number {
    return this.#random.uint32() / 2 ** 32;
  }
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }
}

/** Rows of a task at one site: outcomes follow from probabilities that the model gets slightly wrong. */
function drawRows(task: 'Binary' | 'MultiClass' | 'Regression', rows: number, draws: Draws): Predictions {
  const outputs = task === 'MultiClass' ? 3 : 1;
  const scores = new Float32Array(rows * outputs);
  const labels = new Float32Array(rows);
  for (let row = 0; row < rows; row += 1) {
    if (task === 'Regression') {
      const truth = draws.normal();
      labels[row] = 2 + truth + draws.normal() / 2;
      scores[row] = 2.1 + 0.8 * truth;
    } else if (task === 'Binary') {
      const logit = 1.5 * draws.normal() - 0.5;
      labels[row] = Number(draws.uniform() < 1 / (1 + Math.exp(-logit)));
      scores[row] = 1 / (1 + Math.exp(-(0.3 + 1.4 * logit)));
    } else {
      const weights = [0, 1, 2].map(() => Math.exp(1.2 * draws.normal()));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      let place = draws.uniform() * total;
      labels[row] = weights.findIndex((weight) => (place -= weight) < 0);
      const softer = weights.map((weight) => weight ** 0.7);
      const softTotal = softer.reduce((sum, weight) => sum + weight, 0);
      scores.set(
        softer.map((weight) => weight / softTotal),
        row * outputs,
      );
    }
  }
  return { scores, labels, outputs };
}

/** The predictions without one row. */
function without({ scores, labels, outputs }: Predictions, row: number): Predictions {
  return {
    scores: scores.filter((_, index) => Math.floor(index / outputs) !== row),
    labels: labels.filter((_, index) => index !== row),
    outputs,
  };
}

/** (n - 1) / n times the sum of squared distances of the leave-one-out figures from their mean. */
function jackknife(name: MetricName, predictions: Predictions): number {
  const rows = predictions.labels.length;
  const figures = Array.from(
    { length: rows },
    (_, row) => measure([name], without(predictions, row))[name] ?? Number.NaN,
  );
  const mean = figures.reduce((sum, figure) => sum + figure, 0) / rows;
  return ((rows - 1) / rows) * figures.reduce((sum, figure) => sum + (figure - mean) ** 2, 0);
}

const TASKS = ['Binary', 'MultiClass', 'Regression'] as const;
const CASES = METRIC_NAMES.flatMap((name) =>
  TASKS.filter((task) => (METRICS[name].tasks as readonly string[]).includes(task)).map(
    (task) => [name, task] as const,
  ),
);

describe('variances of metrics', () => {
  for (const [name, task] of CASES) {
    it(`agree with the jackknife: ${name}, ${task}`, () => {
      const predictions = drawRows(task, 400, new Draws(11));
      const variance = measureVariances([name], predictions)[name] ?? Number.NaN;
      // The slope and the intercept take the information of the fit, which holds in the mean, not row by row.
      const tolerance = name.startsWith('calibration') ? 0.25 : 0.08;
      near(variance / jackknife(name, predictions), 1, tolerance);
    });
  }

  it('are those of a mean exactly: s^2 / n', () => {
    const predictions = {
      labels: Float32Array.of(1, 2, 3, 4),
      scores: Float32Array.of(2, 2, 5, 4),
      outputs: 1,
    };
    // Absolute errors 1, 0, 2, 0: mean 0.75, s^2 = 2.75 / 3.
    near(measureVariances(['mae'], predictions)['mae'] ?? 0, 2.75 / 3 / 4, 1e-12);
  });

  it('of AUCs are those of DeLong by the definition, with ties, and of one with itself the variance', () => {
    const draws = new Draws(5);
    const labels = Array.from({ length: 60 }, () => Number(draws.uniform() < 0.4));
    const [one, other] = [0, 1].map(() => ({
      labels,
      scores: labels.map((label) => Math.round(4 * (draws.normal() + label)) / 4),
    }));
    assert.ok(one !== undefined && other !== undefined);
    near(aucCovariance(one, other), deLong(one, other), 1e-12);
    near(aucVariance(one), deLong(one, one), 1e-12);
  });

  it('are undefined with a single row, and of AUCs with a single row of a class', () => {
    const one = { labels: Float32Array.of(1), scores: Float32Array.of(0.4), outputs: 1 };
    assert.ok(Object.values(measureVariances(['brier', 'f1', 'rmse'], one)).every(Number.isNaN));
    assert.ok(Number.isNaN(aucVariance({ labels: [1, 0, 0], scores: [3, 1, 2] })));
  });
});

/** S10 / m + S01 / n with the structural components as the paper defines them, pair by pair. */
function deLong(
  one: { readonly labels: readonly number[]; readonly scores: readonly number[] },
  other: { readonly labels: readonly number[]; readonly scores: readonly number[] },
): number {
  const rows = (positive: number) => [...one.labels.keys()].filter((row) => one.labels[row] === positive);
  const won = (scores: readonly number[], positive: number, negative: number): number =>
    (Math.sign((scores[positive] ?? 0) - (scores[negative] ?? 0)) + 1) / 2;
  const average = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const covariance = (left: readonly number[], right: readonly number[]): number =>
    left.reduce(
      (sum, value, index) => sum + (value - average(left)) * ((right[index] ?? 0) - average(right)),
      0,
    ) /
    (left.length - 1);
  const [positives, negatives] = [rows(1), rows(0)];
  const ofPositives = (scores: readonly number[]) =>
    positives.map((row) => average(negatives.map((negative) => won(scores, row, negative))));
  const ofNegatives = (scores: readonly number[]) =>
    negatives.map((row) => average(positives.map((positive) => won(scores, positive, row))));
  return (
    covariance(ofPositives(one.scores), ofPositives(other.scores)) / positives.length +
    covariance(ofNegatives(one.scores), ofNegatives(other.scores)) / negatives.length
  );
}

/** What a federation reports of its sites' predictions. */
function report(name: MetricName, sites: readonly Predictions[]) {
  const shape = { metrics: [name], intervals: true };
  const sums = new Float64Array(tailLength(shape));
  for (const site of sites) {
    const group = {
      examples: site.labels.length,
      metrics: measure([name], site),
      variances: measureVariances([name], site),
    };
    const tail = updateTail({ trainExamples: 100, loss: 0, groups: [group] }, shape, 10_000);
    tail.forEach((value, index) => (sums[index] = (sums[index] ?? 0) + value));
  }
  const [all] = decodeTail(sums, shape).groups;
  return { mean: all?.metrics[name] ?? Number.NaN, error: all?.standardErrors?.[name] ?? Number.NaN };
}

describe('intervals of a federation', () => {
  const SITES = [120, 300];
  const TRIALS = 200;
  /** Rows that stand for the population. */
  const MANY = 60_000;

  for (const [name, task] of CASES) {
    // Its bias with few rows is larger than its spread, as its documentation says.
    if (name === 'calibrationError') continue;
    it(`of 95 % hold the truth about that often: ${name}, ${task}`, function () {
      this.timeout(120_000);
      const truth = measure([name], drawRows(task, MANY, new Draws(1)))[name] ?? Number.NaN;
      const draws = new Draws(2);
      let held = 0;
      for (let trial = 0; trial < TRIALS; trial += 1) {
        const { mean, error } = report(
          name,
          SITES.map((rows) => drawRows(task, rows, draws)),
        );
        held += Number(Math.abs(mean - truth) <= INTERVAL_95 * error);
      }
      // Two standard errors of a share of 0.95 in 200 trials are 0.031.
      assert.ok(held / TRIALS > 0.915 && held / TRIALS < 0.985, `${String(held)} of ${String(TRIALS)}`);
    });
  }

  it('are those of all rows in one place where the metric is a mean over rows', () => {
    const draws = new Draws(3);
    const sites = SITES.map((rows) => drawRows('Binary', rows, draws));
    const pooled = {
      scores: Float32Array.from(sites.flatMap(({ scores }) => [...scores])),
      labels: Float32Array.from(sites.flatMap(({ labels }) => [...labels])),
      outputs: 1,
    };
    for (const name of ['brier', 'logLoss', 'accuracy'] as const) {
      const { mean, error } = report(name, sites);
      const value = measure([name], pooled)[name] ?? Number.NaN;
      const spread = Math.sqrt(measureVariances([name], pooled)[name] ?? Number.NaN);
      near(mean / value, 1, 1e-5);
      // Within sites rather than around the common mean: equal up to the differences between the sites' means.
      near(error / spread, 1, 0.02);
    }
  });
});

const statistics = readOracle('real_data_statistics.json');
const ranking = readOracle('metrics_sklearn_tests.json');
const binarySchema = z.object({
  kind: z.literal('binary_metrics'),
  y_true: z.array(z.number()),
  y_score: z.array(z.number()),
  roc_auc: z.number(),
  average_precision: z.number(),
  brier: z.number(),
  log_loss: z.number(),
  calibration_5_uniform: z.object({ prob_true: z.array(z.number()), prob_pred: z.array(z.number()) }),
  f1_at_0_5: z.number(),
});
const curveSchema = z.object({
  precision_recall: z.object({
    y: z.array(z.number()),
    s: z.array(z.number()),
    precision: z.array(z.number()),
    recall: z.array(z.number()),
  }),
});

describe(`metrics of scikit-learn${statistics === undefined ? ` (not run: ${NO_ORACLES})` : ''}`, () => {
  it('agree on binary classification and its reliability diagram', function () {
    if (statistics === undefined) this.skip();
    const { cases } = z.object({ cases: z.array(z.unknown()) }).parse(statistics);
    const oracle = cases.flatMap((one) => binarySchema.safeParse(one).data ?? []);
    assert.equal(oracle.length, 1);
    for (const one of oracle) {
      const predictions = {
        labels: Float32Array.from(one.y_true),
        scores: Float32Array.from(one.y_score),
        outputs: 1,
      };
      const names = ['auc', 'averagePrecision', 'brier', 'logLoss', 'f1'] as const;
      const expected = [one.roc_auc, one.average_precision, one.brier, one.log_loss, one.f1_at_0_5];
      const actual = measure(names, predictions);
      names.forEach((name, index) => near(actual[name] ?? Number.NaN, expected[index] ?? 0, 1e-7));
      const bins = calibrationBins(predictions, 5);
      bins.forEach(({ rows, outcomes, probabilities }, index) => {
        near(outcomes / rows, one.calibration_5_uniform.prob_true[index] ?? Number.NaN, 1e-6);
        near(probabilities / rows, one.calibration_5_uniform.prob_pred[index] ?? Number.NaN, 1e-6);
      });
    }
  });

  it('agree on the area under a precision-recall curve', function () {
    if (ranking === undefined) this.skip();
    const { y, s, precision, recall } = curveSchema.parse(ranking).precision_recall;
    const steps = precision.map((value, index) => value * ((recall[index] ?? 0) - (recall[index + 1] ?? 0)));
    const expected = steps.slice(0, -1).reduce((sum, step) => sum + step, 0);
    const predictions = { labels: Float32Array.from(y), scores: Float32Array.from(s), outputs: 1 };
    near(measure(['averagePrecision'], predictions)['averagePrecision'] ?? 0, expected, 1e-12);
  });
});
