import assert from 'node:assert/strict';

import { placeFigures } from '@tributary/edge-agent/internal/domain/metrics/placement.js';
import { measureAll } from '@tributary/edge-agent/internal/domain/metrics/subgroups.js';
import { tailShapeOf } from '@tributary/proto';
import fc from 'fast-check';

const EVALUATION = {
  metrics: ['accuracy' as const],
  subgroups: [
    { column: 'sex', values: ['F', 'M'] },
    { column: 'centre', values: ['1', '2', '3'] },
  ],
};

describe('subgroups of test rows', () => {
  it('are measured by themselves, beside all rows', () => {
    const predictions = {
      labels: Float32Array.of(1, 1, 0, 0),
      scores: Float32Array.of(0.9, 0.1, 0.2, 0.3),
      outputs: 1,
    };
    const evaluation = { metrics: ['accuracy' as const], subgroups: [{ column: 'sex', values: ['F', 'M'] }] };
    const split = [Uint16Array.of(0, 0, 1, 9)];
    assert.deepEqual(measureAll(evaluation, predictions, split, 1), {
      metrics: { accuracy: 0.75 },
      subgroups: [
        { examples: 2, metrics: { accuracy: 0.5 } },
        { examples: 1, metrics: { accuracy: 1 } },
      ],
    });
    assert.deepEqual(measureAll({ metrics: ['accuracy'] }, predictions, [], 1), {
      metrics: { accuracy: 0.75 },
    });
  });

  it('never tell of fewer than minCount rows, not even as the rest of a total (property)', () => {
    const cells = fc.array(
      fc.record({ sex: fc.integer({ min: 0, max: 2 }), centre: fc.integer({ min: 0, max: 3 }) }),
      {
        minLength: 1,
        maxLength: 80,
      },
    );
    fc.assert(
      fc.property(cells, fc.integer({ min: 1, max: 20 }), (rows, minCount) => {
        const places = [
          Uint16Array.from(rows, ({ sex }) => sex),
          Uint16Array.from(rows, ({ centre }) => centre),
        ];
        const predictions = {
          labels: new Float32Array(rows.length),
          scores: new Float32Array(rows.length),
          outputs: 1,
        };
        const told = measureAll(EVALUATION, predictions, places, minCount).subgroups ?? [];
        for (const part of [told.slice(0, 2), told.slice(2)]) {
          const counts = part.map(({ examples }) => examples);
          assert.ok(counts.every((count) => count === 0 || count >= minCount));
          const rest = rows.length - counts.reduce((sum, count) => sum + count, 0);
          assert.ok(rest === 0 || rest >= minCount || counts.every((count) => count === 0));
        }
      }),
    );
  });
});

describe('figures of a site in the groups of a job', () => {
  const all = { examples: 40, metrics: { accuracy: 0.9 } };
  const subgroups = [1, 2, 3, 4, 5].map((examples) => ({ examples, metrics: { accuracy: 0.5 } }));
  const shape = tailShapeOf({ ...EVALUATION, holdOutSite: 'north', perSite: true }, ['east', 'north']);
  const examples = (site: string) => placeFigures(shape, site, { all, subgroups }).map((one) => one.examples);

  it('are in all rows, its subgroups and its own name', () => {
    assert.deepEqual(examples('east'), [40, 0, 1, 2, 3, 4, 5, 40, 0]);
  });

  it('are in nothing but its own where it is held out', () => {
    assert.deepEqual(examples('north'), [0, 40, 0, 0, 0, 0, 0, 0, 40]);
  });

  it('are those of all rows only where the job asks for no more', () => {
    assert.deepEqual(placeFigures({ metrics: ['accuracy'] }, 'east', { all }), [all]);
  });
});
