import assert from 'node:assert/strict';

import {
  buildLayout,
  layoutDigest,
  LIMITS,
  parseLayout,
  tensorSize,
  tensorView,
  type JsonValue,
} from '@tributary/proto';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

const layout = buildLayout([
  { name: 'dense_0/kernel', shape: [3, 4] },
  { name: 'dense_0/bias', shape: [4] },
  { name: 'scale', shape: [] },
]);

describe('layout', () => {
  it('places tensors in order without gaps', () => {
    assert.deepEqual(
      layout.tensors.map(({ name, offset }) => [name, offset]),
      [
        ['dense_0/kernel', 0],
        ['dense_0/bias', 12],
        ['scale', 16],
      ],
    );
    assert.equal(layout.length, 17);
    assert.equal(tensorSize([]), 1);
  });

  it('cuts a vector into its tensors without copying', () => {
    const vector = Float32Array.from({ length: 17 }, (_, index) => index);
    const [, bias] = layout.tensors;
    assert.ok(bias);
    const view = tensorView(vector, bias);
    assert.deepEqual([...view], [12, 13, 14, 15]);
    view[0] = -1;
    assert.equal(vector[12], -1);
  });

  it('has a digest that does not depend on the order of fields and changes with any of them', () => {
    const shuffled = parseLayout({
      length: 17,
      tensors: layout.tensors.map(({ name, shape, dtype, offset }) => ({
        offset,
        dtype,
        shape: [...shape],
        name,
      })),
    });
    assert.equal(layoutDigest(shuffled), layoutDigest(layout));
    const others = [
      buildLayout([
        { name: 'dense_0/kernel', shape: [4, 3] },
        { name: 'dense_0/bias', shape: [4] },
        { name: 'scale', shape: [] },
      ]),
      buildLayout([
        { name: 'dense_1/kernel', shape: [3, 4] },
        { name: 'dense_0/bias', shape: [4] },
        { name: 'scale', shape: [] },
      ]),
    ];
    for (const other of others) assert.notEqual(layoutDigest(other), layoutDigest(layout));
  });

  it('accepts what it builds', () => {
    const tensor = fc.record({
      name: fc.stringMatching(/^[a-z]{1,8}$/),
      shape: fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(tensor, { minLength: 1, maxLength: 8, selector: ({ name }) => name }),
        (tensors) => {
          const built = buildLayout(tensors);
          assert.deepEqual(parseLayout(JSON.parse(JSON.stringify(built)) as JsonValue), built);
          assert.equal(
            built.length,
            tensors.reduce((sum, { shape }) => sum + tensorSize(shape), 0),
          );
        },
      ),
    );
  });

  const tensor = { name: 'a', shape: [2], dtype: 'float32', offset: 0 };
  const refused: readonly (readonly [what: string, value: JsonValue, text: RegExp])[] = [
    ['a gap', { tensors: [{ ...tensor, offset: 1 }], length: 3 }, /tensors\.0\.offset/],
    [
      'an overlap',
      { tensors: [tensor, { ...tensor, name: 'b', offset: 1 }], length: 3 },
      /tensors\.1\.offset/,
    ],
    ['a name twice', { tensors: [tensor, { ...tensor, offset: 2 }], length: 4 }, /tensors\.1\.name/],
    ['a wrong length', { tensors: [tensor], length: 3 }, /layout\.length/],
    ['another dtype', { tensors: [{ ...tensor, dtype: 'float64' }], length: 2 }, /dtype/],
    ['an empty dimension', { tensors: [{ ...tensor, shape: [0] }], length: 1 }, /shape/],
    ['a fraction', { tensors: [{ ...tensor, shape: [1.5] }], length: 1 }, /shape/],
    ['a name that leaves its folder', { tensors: [{ ...tensor, name: '../x' }], length: 2 }, /name/],
    ['an unknown field', { tensors: [tensor], length: 2, extra: 1 }, /layout/],
    ['no tensor', { tensors: [], length: 1 }, /tensors/],
    ['no object', null, /layout/],
  ];
  for (const [what, value, text] of refused) {
    it(`refuses ${what}`, () => assert.throws(() => parseLayout(value), refusal('INVALID_ARGUMENT', text)));
  }

  it('keeps its limits, also where a product overflows', () => {
    assert.throws(
      () => buildLayout([{ name: 'a', shape: [LIMITS.modelParameters + 1] }]),
      refusal('LIMIT_EXCEEDED'),
    );
    assert.throws(
      () => buildLayout([{ name: 'a', shape: Array.from({ length: 8 }, () => 400_000_000) }]),
      refusal('LIMIT_EXCEEDED'),
    );
    const many = Array.from({ length: LIMITS.layoutTensors + 1 }, (_, index) => ({
      name: `t${String(index)}`,
      shape: [1],
    }));
    assert.throws(() => buildLayout(many), refusal('LIMIT_EXCEEDED'));
  });
});
