import assert from 'node:assert/strict';

import type { Cell } from '@tributary/proto';
import { ColumnSummary } from '@tributary/edge-agent/internal/domain/datasets/column-summary.js';
import { keepsOrder } from '@tributary/edge-agent/internal/domain/datasets/plain-select.js';
import { tellable, tellableParts } from '@tributary/edge-agent/internal/domain/datasets/suppression.js';
import fc from 'fast-check';

function summaryOf(cells: readonly Cell[], minCount = 3) {
  const summary = new ColumnSummary(minCount);
  for (const cell of cells) summary.add(cell);
  return summary.describe();
}

const times = (cell: Cell, count: number): Cell[] => Array.from({ length: count }, () => cell);

describe('suppression of counts', () => {
  it('tells none and enough, and says that there are some', () => {
    assert.deepEqual(
      [0, 1, 9, 10].map((count) => tellable(count, 10)),
      [0, 'Suppressed', 'Suppressed', 10],
    );
  });

  it('leaves nothing to subtract (property)', () => {
    const counts = fc.array(fc.nat({ max: 40 }), { maxLength: 6 });
    fc.assert(
      fc.property(counts, (given) => {
        const told = tellableParts(given, 10);
        for (const [place, count] of told.entries())
          assert.ok(count === 'Suppressed' || count === given[place]);
        assert.ok(given.every((count, place) => count === 0 || count >= 10 || told[place] === 'Suppressed'));
        const hidden = told.filter((count) => count === 'Suppressed').length;
        const others = given.filter((count) => count >= 10).length;
        assert.ok(hidden !== 1 || others === 0, 'one count alone follows from the total');
        assert.ok(
          given.every((count, place) => count > 0 || told[place] === 0),
          'zero is told',
        );
      }),
    );
  });
});

describe('summary of a column', () => {
  it('tells the values that enough rows share, and how many others there are', () => {
    const column = summaryOf([...times('a', 5), ...times('b', 3), 'rare', 'other', ...times('', 4)]);
    assert.equal(column.kind, 'Text');
    assert.deepEqual(column.values, [
      { value: 'a', rows: 5 },
      { value: 'b', rows: 3 },
    ]);
    assert.equal(column.suppressedValues, 2);
    assert.deepEqual([column.present, column.missing], [10, 4]);
    assert.ok(!JSON.stringify(column).includes('rare'));
  });

  it('hides a second value where one alone would follow from the others', () => {
    const column = summaryOf([...times('a', 5), ...times('b', 4), 'rare']);
    assert.deepEqual(column.values, [{ value: 'a', rows: 5 }]);
    assert.equal(column.suppressedValues, 2);
  });

  it('tells no single extreme', () => {
    const column = summaryOf(['-1e6', '1', '2', '3', '4', '5', '6', '7', '1e6']);
    assert.deepEqual([column.kind, column.numbers?.low, column.numbers?.high], ['Number', 2, 6]);
    assert.equal(summaryOf(['1', '2', '3', '4', '5']).numbers, undefined, 'too few rows for both ends');
  });

  it('has mean and deviation of the numbers (property)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -1_000, max: 1_000 }), { minLength: 6, maxLength: 300 }),
        (values) => {
          const { numbers } = summaryOf(values);
          const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
          const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
          assert.ok(Math.abs((numbers?.mean ?? Number.NaN) - mean) < 1e-9 * 1_000);
          assert.ok(Math.abs((numbers?.standardDeviation ?? Number.NaN) - Math.sqrt(squares)) < 1e-6);
          const sorted = values.toSorted((a, b) => a - b);
          assert.deepEqual([numbers?.low, numbers?.high], [sorted[2], sorted.at(-3)]);
        },
      ),
    );
  });

  it('knows dates, lists and empty columns, and stops counting too many texts', () => {
    assert.equal(summaryOf(times('2024-05-31', 3)).kind, 'Date');
    assert.equal(summaryOf([[1, 2], [3]]).kind, 'List');
    assert.equal(summaryOf(['', null, 'NA']).kind, 'Empty');
    const many = summaryOf(Array.from({ length: 2_000 }, (_, row) => `name ${String(row)}`));
    assert.deepEqual([many.values, many.suppressedValues], [undefined, undefined]);
  });
});

describe('order of a SELECT', () => {
  it('is not trusted where the tree is not what is expected', () => {
    for (const tree of [undefined, null, 3, {}, { node: null }, { node: { type: 'SELECT_NODE' } }])
      assert.equal(keepsOrder(tree), false);
  });
});
