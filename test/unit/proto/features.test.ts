import assert from 'node:assert/strict';

import {
  canonicalize,
  compileFeatures,
  compileLabel,
  labelScaling,
  featuresFile,
  parseCanonical,
  parseFeaturesFile,
  TributaryError,
  type Cell,
  type FeatureSpec,
  type LearningTask,
  type Row,
} from '@tributary/proto';
import fc from 'fast-check';

const numeric = (fields: Partial<Extract<FeatureSpec, { type: 'Numeric' }>> = {}): FeatureSpec => ({
  name: 'x',
  type: 'Numeric',
  transform: 'Identity',
  scaling: 'Given',
  center: 0,
  scale: 1,
  clip: 1_000_000,
  indicator: false,
  ...fields,
});
const categorical = (fields: Partial<Extract<FeatureSpec, { type: 'Categorical' }>> = {}): FeatureSpec => ({
  name: 'c',
  type: 'Categorical',
  categories: ['a', 'b'],
  encoding: 'OneHot',
  ...fields,
});

/** The encoding of one row by one feature, and the reasons of its issues. */
function encode(feature: FeatureSpec, cell: Cell): { values: number[]; reasons: string[] } {
  const plan = compileFeatures([feature]);
  const out = new Float32Array(plan.width);
  const issues = plan.encode({ [feature.name]: cell }, out, 0);
  return { values: [...out], reasons: issues.map(({ reason }) => reason) };
}

describe('compileFeatures', () => {
  it('gives width, names and columns in the order of the features', () => {
    const plan = compileFeatures([
      numeric({ name: 'income' }),
      categorical({ name: 'term' }),
      numeric({ name: 'age' }),
    ]);
    assert.equal(plan.width, 5);
    assert.deepEqual(plan.names, ['income', 'term=a', 'term=b', 'term=?', 'age']);
    assert.deepEqual(plan.columns, ['income', 'term', 'age']);
  });

  it('transforms, centres, scales and clips, in that order', () => {
    const income = numeric({ transform: 'Log1p', center: 11, scale: 0.5, clip: 2 });
    assert.deepEqual(encode(income, '59873.141715197817'), { values: [0], reasons: [] }); // e^11 - 1
    assert.deepEqual(encode(income, Math.exp(11.5) - 1).values, [1]);
    assert.deepEqual(encode(income, '1e12').values, [2]);
    assert.deepEqual(encode(income, '0').values, [-2]);
    assert.deepEqual(encode(numeric({ center: 10, scale: 4 }), '-2').values, [-3]);
  });

  it('imputes before the transform, and encodes missing cells without it as 0', () => {
    const given = numeric({ transform: 'Log1p', center: 1, scale: 2, impute: 65_000 });
    for (const cell of ['', 'NA', 'NaN', ' NA ', null, undefined, Number.NaN]) {
      assert.deepEqual(encode(given, cell), encode(given, '65000'));
      assert.deepEqual(encode(numeric({ center: 5 }), cell), { values: [0], reasons: [] });
    }
    const plan = compileFeatures([numeric({ name: 'absent' })]);
    assert.deepEqual(plan.encode({}, new Float32Array(1), 0), []);
  });

  it('takes other markers of missing cells', () => {
    const feature = numeric({ missing: ['-9', '?'], impute: 3 });
    for (const cell of ['-9', -9, '?', ' ? '])
      assert.deepEqual(encode(feature, cell), { values: [3], reasons: [] });
    assert.deepEqual(encode(feature, 'NA').reasons, ['NotANumber']);
    assert.deepEqual(encode(feature, '').reasons, ['NotANumber']);
    assert.deepEqual(encode(categorical({ missing: ['a'] }), 'a').values, [0, 0, 1]);
  });

  it('reads decimal numbers only', () => {
    for (const [cell, value] of [
      ['+1.5', 1.5],
      ['.5', 0.5],
      ['5.', 5],
      ['-1E3', -1000],
      [' 7 ', 7],
      [7, 7],
      ['007', 7],
    ] as const) {
      assert.deepEqual(encode(numeric(), cell), { values: [value], reasons: [] }, String(cell));
    }
    for (const cell of [
      '0x10',
      '1,000',
      '1_000',
      '12 %',
      'abc',
      '.',
      'e5',
      '1e',
      '--1',
      '١',
      'true',
      'null',
    ]) {
      assert.deepEqual(encode(numeric({ impute: 9 }), cell), { values: [9], reasons: ['NotANumber'] }, cell);
    }
    for (const cell of ['1e999', '-1e999', 'Infinity', Infinity, -Infinity]) {
      assert.deepEqual(encode(numeric(), cell), { values: [0], reasons: ['NotFinite'] }, String(cell));
    }
    for (const cell of ['-1', '-1e9', -1]) {
      assert.deepEqual(encode(numeric({ transform: 'Log1p' }), cell), {
        values: [0],
        reasons: ['OutsideDomain'],
      });
    }
    assert.ok(Number.isFinite(encode(numeric({ transform: 'Log1p' }), '-0.9999999999999999').values[0]));
  });

  it('has one input per category and one for all others', () => {
    assert.deepEqual(encode(categorical(), 'a'), { values: [1, 0, 0], reasons: [] });
    assert.deepEqual(encode(categorical(), ' b ').values, [0, 1, 0]);
    assert.deepEqual(encode(categorical({ categories: ['1', '2'] }), 2).values, [0, 1, 0]);
    for (const cell of ['A', 'c', '', null, undefined, 'constructor', '__proto__']) {
      assert.deepEqual(encode(categorical(), cell), { values: [0, 0, 1], reasons: [] });
    }
  });

  it('reads own properties of a row only', () => {
    const plan = compileFeatures([
      numeric({ name: 'length' }),
      numeric({ name: '__proto__' }),
      numeric({ name: 'toString' }),
    ]);
    const out = new Float32Array(3);
    assert.deepEqual(plan.encode(Object.create({ length: 5 }) as Row, out, 0), []);
    assert.deepEqual([...out], [0, 0, 0]);
  });

  it('names the column and the reason of an issue, and never the cell', () => {
    const plan = compileFeatures([
      numeric({ name: 'income' }),
      categorical(),
      numeric({ name: 'age', transform: 'Log1p' }),
    ]);
    const issues = plan.encode(
      { income: 'secret-4711', c: 'secret-4712', age: -4713 },
      new Float32Array(5),
      0,
    );
    assert.deepEqual(issues, [
      { column: 'income', reason: 'NotANumber' },
      { column: 'age', reason: 'OutsideDomain' },
    ]);
    assert.doesNotMatch(JSON.stringify(issues), /471|secret/);
  });

  it('writes to its place only, and refuses to write beyond the end', () => {
    const plan = compileFeatures([numeric(), categorical()]);
    const out = new Float32Array(6).fill(9);
    plan.encode({ x: 1, c: 'a' }, out, 1);
    assert.deepEqual([...out], [9, 1, 1, 0, 0, 9]);
    assert.throws(() => plan.encode({}, out, 3), RangeError);
    assert.throws(() => plan.encode({}, out, -1), RangeError);
  });

  it('has golden bits', () => {
    // float32 bits of clip((ln(1 + x) - c) / s), little-endian, computed with Python's mpmath at 50 digits and rounded once.
    const plan = compileFeatures([
      numeric({ name: 'a', transform: 'Log1p', center: 11, scale: 0.6, clip: 4 }),
      numeric({ name: 'b', center: 51.73, scale: 24.38 }),
    ]);
    const out = new Float32Array(2);
    const bits: string[] = [];
    for (const [a, b] of [
      [35_000, 67.4],
      [72_000, 82.2],
      [1.5, 0.1],
      [960_000, 144.3],
    ]) {
      plan.encode({ a: String(a), b: String(b) }, out, 0);
      bits.push(Buffer.from(out.buffer).toString('hex'));
    }
    assert.deepEqual(bits, ['501065bf9b8a243f', '81629d3e48f99f3f', '000080c0b78807c0', '0000804078017340']);
  });

  const cell = fc.oneof(
    fc.string(),
    fc.double(),
    fc.double().map(String),
    fc.constantFrom('', 'NA', 'a', 'b', null, undefined, '1e308', '-1e308', 5e-324),
  );
  const featureList = fc.array(
    fc.oneof(
      fc.record({
        name: fc.constantFrom('p', 'q', 'r'),
        type: fc.constant('Numeric' as const),
        transform: fc.constantFrom('Identity' as const, 'Log1p' as const),
        scaling: fc.constant('Given' as const),
        indicator: fc.constant(false),
        center: fc.double({ min: -1e300, max: 1e300, noNaN: true }),
        scale: fc.double({ min: 1e-9, max: 1e300, noNaN: true }),
        impute: fc.double({ min: -0.5, max: 1e300, noNaN: true }),
        clip: fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
      }),
      fc.record({
        name: fc.constantFrom('p', 'q', 'r'),
        type: fc.constant('Categorical' as const),
        encoding: fc.constant('OneHot' as const),
        categories: fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 5 }),
      }),
    ),
    { minLength: 1, maxLength: 6 },
  );

  it('is total, finite and the same each time, for any row', () => {
    fc.assert(
      fc.property(featureList, fc.dictionary(fc.constantFrom('p', 'q', 'r'), cell), (features, row) => {
        const first = new Float32Array(compileFeatures(features).width).fill(Number.NaN);
        const second = new Float32Array(first.length);
        const issues = compileFeatures(features).encode(row, first, 0);
        assert.deepEqual(compileFeatures(features).encode(row, second, 0), issues);
        assert.ok(first.every(Number.isFinite));
        assert.deepEqual(Buffer.from(first.buffer), Buffer.from(second.buffer));
        let at = 0;
        for (const feature of features) {
          const width = feature.type === 'Numeric' ? 1 : feature.categories.length + 1;
          const part = [...first.subarray(at, at + width)];
          if (feature.type === 'Numeric') assert.ok(Math.abs(part[0] ?? NaN) <= Math.fround(feature.clip));
          else assert.deepEqual(part.toSorted(), [...Array<number>(width - 1).fill(0), 1]);
          at += width;
        }
        assert.equal(at, first.length);
      }),
      { numRuns: 500 },
    );
  });
});

describe('compileLabel', () => {
  const read = (task: LearningTask, ...cells: Cell[]) => cells.map((cell) => compileLabel(task).read(cell));

  it('reads the labels of each task', () => {
    assert.deepEqual(
      read({ type: 'Binary', positive: 'bad' }, 'bad', ' bad', 'good', 'Bad', 1),
      [1, 1, 0, 0, 0],
    );
    assert.deepEqual(read({ type: 'Binary', positive: '1' }, 1, '1', 0), [1, 1, 0]);
    assert.deepEqual(read({ type: 'MultiClass', classes: ['x', 'y'] }, 'y', 'x', 'z'), [
      1,
      0,
      'UnknownClass',
    ]);
    assert.deepEqual(read({ type: 'Regression' }, '1.5', -2, 'x', '1e39', '0x10'), [
      1.5,
      -2,
      'NotANumber',
      'NotFinite',
      'NotANumber',
    ]);
  });

  it('takes a missing label for none', () => {
    const tasks: LearningTask[] = [
      { type: 'Binary', positive: 'a' },
      { type: 'MultiClass', classes: ['a', 'b'] },
      { type: 'Regression' },
    ];
    for (const task of tasks) {
      const labels = read(task, '', ' ', 'NA', 'NaN', null, undefined, NaN);
      assert.deepEqual(labels, Array(labels.length).fill('Missing'));
    }
  });

  it('scales the number of a regression by the job', () => {
    const task = { type: 'Regression', center: 30, scale: 4 } as const;
    assert.deepEqual(read(task, '30', '38', 20, 'x', '1e60'), [0, 2, -2.5, 'NotANumber', 'NotFinite']);
    assert.deepEqual(labelScaling(task), { center: 30, scale: 4 });
    assert.equal(labelScaling({ type: 'Regression' }), undefined);
    // Beyond float32 as it is, within it when scaled.
    assert.deepEqual(read({ type: 'Regression', scale: 1024 }, '1e40'), [1e40 / 1024]);
  });

  it('says how many outputs the model has', () => {
    assert.equal(compileLabel({ type: 'MultiClass', classes: ['a', 'b', 'c'] }).outputs, 3);
    assert.equal(compileLabel({ type: 'Regression' }).outputs, 1);
  });
});

describe('features.json', () => {
  const features = [numeric({ impute: 2 }), categorical({ missing: ['?'] })];

  it('survives a round trip', () => {
    const bytes = canonicalize(featuresFile(features));
    assert.deepEqual(parseFeaturesFile(parseCanonical(bytes, 10_000)), {
      formatVersion: 2,
      features,
      fit: {},
    });
  });

  it('of version 1 has no fit', () => {
    assert.deepEqual(parseFeaturesFile({ formatVersion: 1, features }), featuresFile(features));
  });

  it('holds what was learned', () => {
    const fit = { x: { center: 1.5, scale: 0.25 }, c: { categories: ['a'] } };
    assert.deepEqual(parseFeaturesFile(featuresFile(features, fit)).fit, fit);
    for (const wrong of [{ x: { center: 1, scale: 0 } }, { x: { center: 1 } }, { c: { categories: [] } }, []])
      assert.throws(() => parseFeaturesFile({ formatVersion: 2, features, fit: wrong }), {
        code: 'DOCUMENT_INVALID',
      });
  });

  it('answers anything with a file or a typed error', () => {
    const scale = fc.oneof(fc.double(), fc.constantFrom(0, -1, '1', null));
    const value = fc.oneof(
      fc.jsonValue(),
      fc.record({
        formatVersion: fc.constantFrom(1, 2, 3, '2', null),
        features: fc.oneof(fc.constant(features), fc.jsonValue()),
        fit: fc.oneof(
          fc.dictionary(fc.string(), fc.record({ center: fc.double(), scale })),
          fc.dictionary(fc.string(), fc.jsonValue()),
        ),
      }),
    );
    fc.assert(
      fc.property(value, (given) => {
        try {
          const { fit } = parseFeaturesFile(given);
          for (const part of Object.values(fit)) if ('scale' in part) assert.ok(part.scale > 0);
        } catch (error) {
          assert.ok(error instanceof TributaryError);
          assert.match(error.code, /^(DOCUMENT_INVALID|FORMAT_UNSUPPORTED)$/);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('refuses newer versions and names what is wrong', () => {
    assert.throws(() => parseFeaturesFile({ formatVersion: 3, features }), { code: 'FORMAT_UNSUPPORTED' });
    const wrong = { formatVersion: 1, features: [{ name: 'x', type: 'Numeric', scale: 0 }] };
    assert.throws(() => parseFeaturesFile(wrong), {
      code: 'DOCUMENT_INVALID',
      message: 'features[0].scale: must be at least 1e-9; raise it',
    });
    for (const value of [null, undefined, 1, [], {}, { formatVersion: '1', features }]) {
      assert.throws(() => parseFeaturesFile(value), { code: 'DOCUMENT_INVALID' });
    }
  });
});
