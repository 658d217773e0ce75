import assert from 'node:assert/strict';

import {
  emptyStatistics,
  FeatureStatistics,
  fitOfStatistics,
  needsStatistics,
  roundVectors,
  statisticsLayout,
  type FeatureSpec,
  type Row,
  type Scaling,
} from '@tributary/proto';
import { featureSchema } from '@tributary/proto/internal/documents/feature-spec.js';
import { Moments } from '@tributary/proto/internal/features/moments.js';
import fc from 'fast-check';

const feature = (fields: object): FeatureSpec =>
  featureSchema.parse({ name: 'x', type: 'Numeric', ...fields });
const federated = (fields: object = {}): FeatureSpec =>
  feature({ scaling: 'Federated', low: -10, high: 30, ...fields });

function statisticsOf(features: readonly FeatureSpec[], rows: readonly Row[], minCount = 1) {
  const statistics = new FeatureStatistics(features);
  for (const row of rows) assert.equal(statistics.add(row), undefined);
  return statistics.finish(minCount);
}

/** Mean and standard deviation in two passes. */
function twoPasses(values: readonly number[]): Scaling {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { center: mean, scale: Math.sqrt(square) };
}

function near(actual: Scaling | undefined, expected: Scaling, tolerance: number): void {
  assert.ok(actual !== undefined);
  for (const key of ['center', 'scale'] as const) {
    const error = Math.abs(actual[key] - expected[key]);
    assert.ok(
      error <= tolerance * Math.max(1, expected.scale),
      `${key}: ${actual[key]} for ${expected[key]}`,
    );
  }
}

const scalingOf = (fit: Readonly<Record<string, unknown>>, name = 'x') => fit[name] as Scaling | undefined;

describe('moments', () => {
  it('keep their digits where the values have much in common', () => {
    const moments = new Moments();
    for (let index = 0; index < 1_000; index += 1) moments.add(1e9 + (index % 2));
    assert.equal(moments.mean, 1e9 + 0.5);
    assert.ok(Math.abs(moments.variance - 0.25) < 1e-9);
  });

  it('agree with two passes', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1 }), (values) => {
        const moments = new Moments();
        for (const value of values) moments.add(value);
        const { center, scale } = twoPasses(values);
        assert.ok(Math.abs(moments.mean - center) < 1e-6);
        assert.ok(Math.abs(Math.sqrt(moments.variance) - scale) < 1e-4);
      }),
    );
  });
});

describe('scaling by each site', () => {
  it('is the mean and deviation of what is present, after the transform', () => {
    const values = [1, 5, 9, 120];
    const rows: Row[] = [...values.map((x) => ({ x: String(x) })), { x: '' }, { x: null }, {}];
    const { fit, examples, table } = statisticsOf([feature({ scaling: 'Site', transform: 'Log1p' })], rows);
    near(scalingOf(fit), twoPasses(values.map(Math.log1p)), 1e-12);
    assert.equal(examples, 7);
    assert.equal(table.length, 0);
  });

  it('does not scale what is constant, or absent', () => {
    assert.deepEqual(statisticsOf([feature({ scaling: 'Site' })], [{ x: 7 }, { x: 7 }]).fit, {
      x: { center: 7, scale: 1 },
    });
    assert.deepEqual(statisticsOf([feature({ scaling: 'Site' })], [{}]).fit, { x: { center: 0, scale: 1 } });
    const huge = statisticsOf([feature({ scaling: 'Site' })], [{ x: 1e300 }, { x: -1e300 }]).fit;
    assert.equal(scalingOf(huge)?.scale, 1);
  });

  it('counts a row once, however long its sequence is', () => {
    const sequence = featureSchema.parse({ name: 'x', type: 'Sequence', length: 3, scaling: 'Site' });
    const { fit } = statisticsOf(
      [sequence],
      [{ x: [2, 2, 2] }, { x: '[8]' }, { x: [] }, { x: [9, 8, 8, 8] }],
    );
    near(scalingOf(fit), { center: 6, scale: Math.sqrt(8) }, 1e-12);
  });

  it('names a cell that cannot be read', () => {
    const statistics = new FeatureStatistics([feature({ scaling: 'Site' })]);
    assert.deepEqual(statistics.add({ x: 'four' }), { column: 'x', reason: 'NotANumber' });
  });
});

describe('scaling by all sites', () => {
  const cell = fc.oneof(fc.double({ min: -50, max: 50, noNaN: true }), fc.constant(null));
  const site = fc.array(cell, { minLength: 1, maxLength: 60 });

  it('is that of the pooled data, clamped to the bounds', () => {
    fc.assert(
      fc.property(fc.array(site, { minLength: 1, maxLength: 6 }), (sites) => {
        const clamp = (value: number) => Math.min(30, Math.max(-10, value));
        const pooled = sites.flat().filter((value) => value !== null);
        fc.pre(pooled.length > 0);
        const features = [federated()];
        const sum = new Float64Array(3);
        for (const values of sites) {
          const { table, examples } = statisticsOf(
            features,
            values.map((x) => ({ x })),
          );
          assert.ok(table.every((element) => element >= 0 && element <= 1));
          for (const [index, element] of table.entries()) sum[index] = (sum[index] ?? 0) + element * examples;
        }
        const rows = sites.flat().length;
        const fit = fitOfStatistics(
          features,
          Float32Array.from(sum, (total) => total / rows),
        );
        const expected = twoPasses(pooled.map(clamp));
        // A deviation below the resolution of the table is replaced by it: 40 * sqrt(2^-21).
        if (expected.scale > 0.1) near(scalingOf(fit), expected, 1e-4);
        else assert.ok((scalingOf(fit)?.scale ?? 0) <= 40 && (scalingOf(fit)?.scale ?? 0) > 0);
      }),
    );
  });

  it('takes the bounds before the transform', () => {
    const spec = federated({ transform: 'Log1p', low: 0, high: 1_000 });
    const values = [3, 40, 5_000];
    const { table } = statisticsOf(
      [spec],
      values.map((x) => ({ x })),
    );
    near(scalingOf(fitOfStatistics([spec], table)), twoPasses([3, 40, 1_000].map(Math.log1p)), 1e-6);
  });

  it('tells nothing of a feature that fewer rows have than the policy wants', () => {
    const rows: Row[] = [{ x: 1 }, { x: 2 }, { x: 3 }, {}];
    assert.deepEqual([...statisticsOf([federated()], rows, 4).table], [0, 0, 0]);
    assert.notDeepEqual([...statisticsOf([federated()], rows, 3).table], [0, 0, 0]);
  });

  it('tells nothing where the bounds single out fewer rows than that: an extreme, or one value', () => {
    const rows: Row[] = [...Array.from({ length: 40 }, (_, index) => ({ x: index % 20 })), { x: 28 }];
    for (const [low, high] of [
      [25, 30],
      [-10, 0.5],
      [6.5, 7.5],
    ])
      assert.deepEqual([...statisticsOf([federated({ low, high })], rows, 4).table], [0, 0, 0]);
    const [present = 0, mean = 0] = statisticsOf([federated()], rows, 4).table;
    assert.ok(present === 1 && mean > 0.4 && mean < 0.6);
  });

  it('does not tell that few rows are missing, whatever a job calls missing', () => {
    const rows: Row[] = [...Array.from({ length: 40 }, (_, index) => ({ x: index % 20 })), { x: 28 }];
    const probe = federated({ missing: ['28'] });
    assert.deepEqual(
      [...statisticsOf([probe], rows, 4).table],
      [...statisticsOf([probe], rows.slice(0, 40), 4).table],
    );
  });

  it('has an answer where no site told anything, and where all values are one', () => {
    assert.deepEqual(fitOfStatistics([federated()], emptyStatistics([federated()])), {
      x: { center: 10, scale: 20 },
    });
    const same = statisticsOf([federated()], [{ x: 5 }, { x: 5 }]).table;
    const { center = 0, scale = 0 } = scalingOf(fitOfStatistics([federated()], same)) ?? {};
    assert.ok(Math.abs(center - 5) < 1e-5 && scale > 0 && scale < 0.1);
    const lowest = statisticsOf([federated()], [{ x: -99 }]).table;
    assert.deepEqual(scalingOf(fitOfStatistics([federated()], lowest)), { center: -10, scale: 40 });
  });

  it('refuses tables that are not of the job', () => {
    for (const table of [new Float32Array(2), new Float32Array(6), Float32Array.of(1, Number.NaN, 0)])
      assert.throws(() => fitOfStatistics([federated()], table), { code: 'INVALID_ARGUMENT' });
  });

  it('gives a finite fit for any table', () => {
    const element = fc.double({ min: -2, max: 2, noNaN: true });
    fc.assert(
      fc.property(fc.tuple(element, element, element), (elements) => {
        const { center = Number.NaN, scale = 0 } =
          scalingOf(fitOfStatistics([federated()], Float32Array.from(elements))) ?? {};
        assert.ok(Number.isFinite(center) && Number.isFinite(scale) && scale > 0);
      }),
    );
  });

  it('is never clipped, whatever the job says of updates', () => {
    const features = Array.from({ length: 50 }, (_, index) => federated({ name: `f${String(index)}` }));
    const job = { features, evaluation: { metrics: [] }, update: { clipNorm: 0.01, weightCap: 100 } };
    const { bounds, tail } = roundVectors(job, ['a'], 'Statistics');
    assert.ok(bounds.clipNorm >= Math.sqrt(statisticsLayout(features).length));
    assert.deepEqual(tail, { metrics: [] });
    assert.equal(roundVectors(job, ['a']).bounds.clipNorm, 0.01);
  });

  it('is asked for by the features', () => {
    assert.equal(needsStatistics({ features: [feature({})] }), false);
    assert.equal(needsStatistics({ features: [feature({}), federated()] }), true);
  });
});
