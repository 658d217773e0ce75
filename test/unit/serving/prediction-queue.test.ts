import assert from 'node:assert/strict';

import { PredictionQueue } from '@tributary/edge-agent/internal/domain/serving/prediction-queue.js';
import fc from 'fast-check';

interface Item {
  readonly id: number;
  readonly rows: number;
  readonly version?: number | undefined;
  readonly sinceMs: number;
}

const items = fc
  .array(fc.record({ rows: fc.integer({ min: 1, max: 9 }), version: fc.constantFrom(undefined, 1, 2, 3) }), {
    maxLength: 60,
  })
  .map((drawn) => drawn.map((item, id): Item => ({ ...item, id, sinceMs: id })));

describe('prediction queue', () => {
  it('gives every request once, in order, in batches of one version that keep to the most rows', () => {
    fc.assert(
      fc.property(items, fc.integer({ min: 1, max: 12 }), (drawn, maximumRows) => {
        const queue = new PredictionQueue<Item>({ maximumRows, budgetMs: 2 });
        for (const item of drawn) queue.add(item);
        const taken: Item[] = [];
        for (let active = 1; queue.rows > 0; active = (active % 3) + 1) {
          const batch = queue.take(active);
          const rows = batch.reduce((sum, item) => sum + item.rows, 0);
          assert.ok(batch.length === 1 || rows <= maximumRows);
          assert.ok(batch.length > 0);
          assert.equal(new Set(batch.map(({ version }) => version ?? active)).size, 1);
          taken.push(...batch);
        }
        assert.deepEqual(taken, drawn);
      }),
    );
  });

  it('is due when its first row has waited for the budget, or a batch is full', () => {
    const queue = new PredictionQueue<Item>({ maximumRows: 4, budgetMs: 10 });
    assert.equal(queue.dueMs(0), undefined);
    queue.add({ id: 1, rows: 3, sinceMs: 100 });
    assert.equal(queue.dueMs(103), 7);
    assert.equal(queue.dueMs(500), 0);
    queue.add({ id: 2, rows: 1, sinceMs: 103 });
    assert.equal(queue.dueMs(103), 0);
    queue.follow({ maximumRows: 100, budgetMs: 50 });
    assert.equal(queue.dueMs(103), 47);
  });

  it('takes batches back in front, and lets go of chosen requests', () => {
    const queue = new PredictionQueue<Item>({ maximumRows: 4, budgetMs: 10 });
    for (const id of [1, 2, 3, 4]) queue.add({ id, rows: 2, sinceMs: 0, version: id % 2 });
    const batch = queue.take(undefined);
    queue.putBack(batch);
    assert.equal(queue.rows, 8);
    assert.deepEqual(
      queue.drain(({ version }) => version === 0).map(({ id }) => id),
      [2, 4],
    );
    assert.equal(queue.rows, 4);
    assert.equal(
      queue.has(({ id }) => id === 2),
      false,
    );
    assert.deepEqual(
      queue.drain().map(({ id }) => id),
      [1, 3],
    );
  });
});
