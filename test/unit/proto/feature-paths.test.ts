import assert from 'node:assert/strict';

import {
  canonicalize,
  compileFeatures,
  featuresFile,
  parseCanonical,
  parseFeaturesFile,
  type Cell,
  type FeatureFit,
  type FeatureSpec,
  type Row,
} from '@tributary/proto';
import { featureSchema } from '@tributary/proto/internal/documents/feature-spec.js';
import { inputProblems } from '@tributary/proto/internal/documents/feature-coherence.js';
import fc from 'fast-check';

/** Decimal numbers that columns hold, zero with either sign among them. */
const decimal = fc.oneof(
  fc.integer({ min: -5_000, max: 5_000 }),
  fc.double({ min: -1e9, max: 1e9, noNaN: true }),
  fc.constantFrom(0, -0, 1e-300, 1e300, 1e15),
);
const scaling = fc.oneof(
  fc.record({
    scaling: fc.constant('Given'),
    center: decimal,
    scale: fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
  }),
  fc.constant({ scaling: 'Site' }),
  fc.constant({ scaling: 'Federated', low: -10, high: 10 }),
);
const extras = fc.record(
  { impute: decimal, clip: fc.double({ min: 0.5, max: 1e6, noNaN: true }) },
  { requiredKeys: [] },
);
const indicator = fc.record({ indicator: fc.boolean() }, { requiredKeys: [] });

const mixed = (type: string, ...parts: fc.Arbitrary<object>[]) =>
  fc.tuple(...parts).map((values) => Object.assign({ type }, ...values) as object);

const scalar = fc.oneof(
  mixed('Numeric', scaling, extras, indicator, fc.constantFrom({}, { missing: ['-9', '?'] })),
  mixed(
    'Categorical',
    fc.constantFrom({ encoding: 'Index' }, {}),
    fc.constant({ categories: ['a', '1', '2.5'] }),
  ),
  mixed(
    'Categorical',
    fc.constant({ vocabulary: { name: 'codes', size: 3, digest: `sha256:${'0'.repeat(64)}` } }),
  ),
  mixed(
    'Date',
    scaling,
    extras,
    indicator,
    fc.constantFrom({ part: 'Year' }, { part: 'Days', reference: '2020-02-29' }),
  ),
  mixed('Date', scaling, fc.constantFrom({ part: 'Month' }, { part: 'DayOfWeek' }, { part: 'DayOfYear' })),
  mixed('Ratio', scaling, extras, indicator, fc.constant({ numerator: 'p', denominator: 'q' })),
);
const sequence = mixed(
  'Sequence',
  scaling,
  extras,
  fc.constantFrom({}, { truncate: 'First' }, { padding: 'End' }, { missing: ['-9'] }),
  fc.constant({ length: 4 }),
);

/** Pipelines as documents hold them: named f0, f1 and so on, of one shape. */
const pipeline: fc.Arbitrary<FeatureSpec[]> = fc
  .oneof(fc.array(scalar, { minLength: 1, maxLength: 6 }), fc.array(sequence, { minLength: 1, maxLength: 3 }))
  .map((specs) => specs.map((spec, index) => featureSchema.parse({ name: `f${String(index)}`, ...spec })));

const cell: fc.Arbitrary<Cell> = fc.oneof(
  decimal,
  fc.constantFrom(
    null,
    undefined,
    '',
    'NA',
    '-9',
    -9,
    '-9.0',
    'a',
    'unseen',
    '2024-02-29',
    '2023-02-29',
    '1999',
  ),
  fc.constantFrom('2020-01-02T03:04:05.000Z', '2020-01', '[1, 2.5, null]', '[]', '[1,'),
  fc.array(fc.option(decimal), { maxLength: 7 }),
  fc.string({ maxLength: 6 }),
);
const columns = ['f0', 'f1', 'f2', 'f3', 'f4', 'f5', 'p', 'q'] as const;
const row = fc.dictionary(fc.constantFrom(...columns), cell, { noNullPrototype: false });

/** A fit for whatever a pipeline leaves open. */
function fitOf(features: readonly FeatureSpec[]): FeatureFit {
  return Object.fromEntries(
    compileFeatures(features).unfitted.map((name, index) => [
      name,
      features.find((feature) => feature.name === name)?.type === 'Categorical'
        ? { categories: ['a', '1', '2.5'] }
        : { center: index / 3, scale: 0.7 + index },
    ]),
  );
}

function bits(
  features: readonly FeatureSpec[],
  fit: FeatureFit,
  given: Row,
): { bytes: Buffer; issues: unknown } {
  const plan = compileFeatures(features, fit);
  const out = new Float32Array(plan.width + 2).fill(7);
  const issues = plan.encode(given, out, 1);
  assert.deepEqual([out[0], out.at(-1)], [7, 7]);
  assert.ok(out.every(Number.isFinite));
  return { bytes: Buffer.from(out.buffer), issues };
}

/** The cells of a row as a CSV file would hold them. */
function asText(given: Row): Row {
  const text = (value: Cell): Cell => {
    if (value === null || value === undefined) return '';
    if (typeof value === 'object') return `[${value.map((element) => element ?? 'NULL').join(', ')}]`;
    return typeof value === 'number' ? (Object.is(value, -0) ? '-0.0' : String(value)) : ` ${value} `;
  };
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, text(value)]));
}

describe('a row on every path', () => {
  it('has the same bits as text and typed, in any order of columns, after features.json', () => {
    fc.assert(
      fc.property(pipeline, row, (features, given) => {
        assert.deepEqual(inputProblems(features), []);
        const fit = fitOf(features);
        const first = bits(features, fit, given);
        const reordered = Object.fromEntries(Object.entries(given).reverse());
        assert.deepEqual(bits(features, fit, reordered), first);
        assert.deepEqual(bits(features, fit, { stranger: 'x', ...given }), first);
        const read = parseFeaturesFile(parseCanonical(canonicalize(featuresFile(features, fit)), 1e6));
        assert.deepEqual(bits(read.features, read.fit, given), first);
        // Where '' is no marker of its own, an empty cell of a file is a text, and null is missing.
        const knowsEmpty = features.every(({ missing }) => missing === undefined);
        if (knowsEmpty) assert.deepEqual(bits(features, fit, asText(given)), first);
      }),
      { numRuns: 2_000 },
    );
  });

  it('has the shape that the features make', () => {
    fc.assert(
      fc.property(pipeline, (features) => {
        const plan = compileFeatures(features, fitOf(features));
        assert.equal(
          plan.shape.reduce((size, dimension) => size * dimension, 1),
          plan.width,
        );
        assert.equal(plan.names.length, plan.width);
        assert.equal(plan.indices.length, plan.width);
        assert.deepEqual(plan.shape, compileFeatures(features).shape);
        assert.deepEqual(plan.unfitted, []);
      }),
    );
  });
});

describe('kinds of features', () => {
  const encode = (spec: object, given: Row, fit: FeatureFit = {}): { values: number[]; issues: unknown } => {
    const plan = compileFeatures([featureSchema.parse(spec)], fit);
    const out = new Float32Array(plan.width);
    const issues = plan.encode(given, out, 0);
    return { values: [...out], issues };
  };
  const date = (part: string, text: Cell, fields: object = {}) =>
    encode({ name: 'd', type: 'Date', part, ...fields }, { d: text });

  it('take parts of dates', () => {
    assert.deepEqual(date('Year', '2024-02-29').values, [2024]);
    assert.deepEqual(date('Month', '2024-02-29').values, [2]);
    assert.deepEqual(date('DayOfWeek', '2024-02-29').values, [4]);
    assert.deepEqual(date('DayOfWeek', '1969-12-28').values, [7]);
    assert.deepEqual(date('DayOfYear', '2024-12-31T23:59:59Z').values, [366]);
    assert.deepEqual(date('Days', '2024-03-01', { reference: '2024-02-28' }).values, [2]);
    assert.deepEqual(date('Days', '1899-12-31', { reference: '1900-01-01' }).values, [-1]);
    assert.deepEqual(date('Year', 1987).values, [1987]);
    assert.deepEqual(date('Month', '1987-05').values, [5]);
  });

  it('agree with the calendar of JavaScript', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-01'), max: new Date('2999-12-31'), noInvalidDate: true }),
        (day) => {
          const text = day.toISOString().slice(0, 10);
          const days = Math.floor(day.getTime() / 86_400_000);
          const got = [
            date('Days', text, { reference: '1970-01-01' }).values[0],
            date('DayOfWeek', text).values[0],
          ];
          assert.deepEqual(got, [days, day.getUTCDay() === 0 ? 7 : day.getUTCDay()]);
        },
      ),
    );
  });

  it('name dates that are none, or lack the part', () => {
    for (const text of ['2023-02-29', '31.12.2020', '2020-13-01', '20201231', 'x', '2020-1-1']) {
      assert.deepEqual(date('Year', text), { values: [0], issues: [{ column: 'd', reason: 'NotADate' }] });
    }
    assert.deepEqual(date('Month', '1987').issues, [{ column: 'd', reason: 'NotADate' }]);
    assert.deepEqual(date('DayOfWeek', '1987-05').issues, [{ column: 'd', reason: 'NotADate' }]);
  });

  it('divide, and miss what cannot be divided', () => {
    const ratio = { name: 'r', type: 'Ratio', numerator: 'a', denominator: 'b', indicator: true };
    assert.deepEqual(encode(ratio, { a: '3', b: 2 }).values, [1.5, 0]);
    for (const given of [{ a: 3, b: 0 }, { a: 3 }, { b: 3, a: 'NA' }, { a: 3, b: '-0.0' }])
      assert.deepEqual(encode(ratio, given), { values: [0, 1], issues: [] });
    assert.deepEqual(encode(ratio, { a: 'x', b: 1 }).issues, [{ column: 'a', reason: 'NotANumber' }]);
    assert.deepEqual(encode(ratio, { a: 1e300, b: 1e-300 }).issues, [{ column: 'b', reason: 'NotFinite' }]);
  });

  it('cut and fill sequences', () => {
    const make = (fields: object, cells: Cell) =>
      encode({ name: 's', type: 'Sequence', length: 3, ...fields }, { s: cells }).values;
    assert.deepEqual(make({}, [1, 2, 3, 4]), [2, 3, 4]);
    assert.deepEqual(make({ truncate: 'First' }, '[1, 2, 3, 4]'), [1, 2, 3]);
    assert.deepEqual(make({}, [1]), [0, 0, 1]);
    assert.deepEqual(make({ padding: 'End', center: 1, impute: 5 }, [3, null]), [2, 4, 0]);
    assert.deepEqual(make({}, null), [0, 0, 0]);
    const wrong = encode({ name: 's', type: 'Sequence', length: 2 }, { s: '1;2' });
    assert.deepEqual(wrong, { values: [0, 0], issues: [{ column: 's', reason: 'NotAList' }] });
  });

  it('lie step by step where there are several sequences', () => {
    const features = ['a', 'b'].map((name) => featureSchema.parse({ name, type: 'Sequence', length: 2 }));
    const plan = compileFeatures(features);
    const out = new Float32Array(4);
    plan.encode({ a: [1, 2], b: [3, 4] }, out, 0);
    assert.deepEqual([...out], [1, 3, 2, 4]);
    assert.deepEqual(plan.names, ['a[0]', 'b[0]', 'a[1]', 'b[1]']);
    assert.deepEqual(plan.shape, [2, 2]);
  });

  it('give indices to embeddings, the last for what is unknown', () => {
    const spec = { name: 'c', type: 'Categorical', categories: ['a', 'b'], encoding: 'Index' };
    assert.deepEqual(
      ['a', 'b', 'z', null].map((text) => encode(spec, { c: text }).values[0]),
      [0, 1, 2, 2],
    );
    assert.deepEqual(compileFeatures([featureSchema.parse(spec)]).indices, [3]);
  });

  it('say whether a value was there', () => {
    const spec = { name: 'x', type: 'Numeric', indicator: true, impute: 4 };
    assert.deepEqual(encode(spec, { x: '2' }).values, [2, 0]);
    assert.deepEqual(encode(spec, {}).values, [4, 1]);
  });

  it('encode nothing before they are fitted, and name themselves', () => {
    const spec = { name: 'x', type: 'Numeric', scaling: 'Site' };
    assert.throws(() => encode(spec, { x: 1 }), {
      code: 'INVALID_ARGUMENT',
      message: 'features without a fit: x',
    });
    assert.deepEqual(encode(spec, { x: 5 }, { x: { center: 3, scale: 4 } }).values, [0.5]);
  });
});
