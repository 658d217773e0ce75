import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ColumnProfile, SHARED_ROWS } from '@tributary/coordinator/internal/cli/job-draft/column-profile.js';
import { draftFeature } from '@tributary/coordinator/internal/cli/job-draft/feature-draft.js';
import { draftJob, draftText } from '@tributary/coordinator/internal/cli/job-draft/job-draft.js';
import { profileTable } from '@tributary/coordinator/internal/cli/job-draft/table-reader.js';
import { draftTask } from '@tributary/coordinator/internal/cli/job-draft/task-draft.js';
import { parseFederatedJob } from '@tributary/proto';
import fc from 'fast-check';
import { parse } from 'yaml';

const DATA = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'data');

function profile(name: string, cells: readonly string[]): ColumnProfile {
  const column = new ColumnProfile(name);
  for (const cell of cells) column.add(cell);
  return column;
}

/** `count` cells made from their index. */
const cells = (count: number, cell: (index: number) => string | number): readonly string[] =>
  Array.from({ length: count }, (_, index) => String(cell(index)));

describe('the draft of a feature', () => {
  it('takes a quantity with bounds that ten rows or more lie at or beyond', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 40, maxLength: 200 }),
        (values) => {
          const draft = draftFeature(profile('x', values.map(String)));
          if (!('feature' in draft) || draft.feature.type !== 'Numeric') return;
          const { low = 0, high = 0 } = draft.feature;
          const sorted = [...values].sort((a, b) => a - b);
          const inner = [sorted.at(SHARED_ROWS - 1) ?? 0, sorted.at(-SHARED_ROWS) ?? 0] as const;
          const unit = (inner[1] - inner[0]) / 10;
          assert.ok(low < high);
          // Rounded outwards from the tenth row, by less than a tenth of the range: the extreme itself plays no part.
          assert.ok(low <= inner[0] + 1e-9 * Math.abs(inner[0]) && low >= inner[0] - unit, 'low');
          assert.ok(high >= inner[1] - 1e-9 * Math.abs(inner[1]) && high <= inner[1] + unit, 'high');
        },
      ),
    );
  });

  it('takes the logarithm of a skewed quantity, codes as categories, dates as days', () => {
    const skewed = draftFeature(
      profile(
        'income',
        cells(200, (row) => Math.exp(row / 20).toFixed(3)),
      ),
    );
    assert.ok('feature' in skewed && skewed.feature.type === 'Numeric');
    assert.equal(skewed.feature.transform, 'Log1p');
    const code = draftFeature(
      profile(
        'stage',
        cells(90, (row) => row % 3),
      ),
    );
    assert.deepEqual(code, { feature: { name: 'stage', type: 'Categorical', categories: ['0', '1', '2'] } });
    const date = draftFeature(
      profile(
        'admitted',
        cells(300, (row) => new Date(Date.UTC(2020, 0, 1 + ((row * 7) % 300))).toISOString().slice(0, 10)),
      ),
    );
    assert.ok('feature' in date && date.feature.type === 'Date');
    assert.equal(date.feature.reference, '2000-01-01');
    assert.ok((date.feature.low ?? 0) > 7_000 && (date.feature.high ?? 0) < 8_000);
  });

  it('never names a value that fewer than ten rows share', () => {
    const column = profile('city', [...cells(50, () => 'Utrecht'), ...cells(9, () => 'rare-town')]);
    assert.deepEqual(draftFeature(column), {
      feature: { name: 'city', type: 'Categorical', categories: ['Utrecht'] },
    });
    const rare = draftFeature(
      profile(
        'surname',
        cells(100, (row) => `name-${String(row % 50)}`),
      ),
    );
    assert.ok('leftOut' in rare);
    assert.doesNotMatch(rare.leftOut, /name-/);
  });

  it('leaves out constants, serial numbers, identifiers and nearly empty columns', () => {
    assert.ok(
      'leftOut' in
        draftFeature(
          profile(
            'patient_id',
            cells(100, (row) => row % 40),
          ),
        ),
    );
    for (const values of [
      cells(100, () => 'x'),
      cells(100, (row) => row + 1),
      [...cells(5, (row) => row), ...cells(95, () => '')],
    ])
      assert.ok('leftOut' in draftFeature(profile('c', values)));
  });
});

describe('the draft of a task', () => {
  it('follows the label', () => {
    assert.deepEqual(
      draftTask(
        profile(
          'y',
          cells(60, (row) => (row % 3 === 0 ? 'bad' : 'good')),
        ),
      ).task,
      {
        type: 'Binary',
        positive: 'bad',
      },
    );
    // Without a word that says yes: the rarer value.
    assert.deepEqual(
      draftTask(
        profile(
          'y',
          cells(60, (row) => (row % 3 === 0 ? 'b' : 'a')),
        ),
      ).task,
      {
        type: 'Binary',
        positive: 'b',
      },
    );
    assert.deepEqual(
      draftTask(
        profile(
          'y',
          cells(60, (row) => 10 - (row % 4)),
        ),
      ).task,
      {
        type: 'MultiClass',
        classes: ['7', '8', '9', '10'],
      },
    );
    assert.deepEqual(
      draftTask(
        profile(
          'y',
          cells(60, (row) => row / 7),
        ),
      ).task,
      // Ten rows lie at or beyond 1.29 and 7.14: bounds of 1.2 and 7.2.
      { type: 'Regression', center: 4.2, scale: 1.5 },
    );
  });

  it('suggests no scaling of a label that too few rows show', () => {
    const label = profile(
      'y',
      cells(15, (row) => row / 7),
    );
    const column = profile(
      'x',
      cells(60, (row) => (row % 13) / 3),
    );
    const { job, remarks } = draftJob([column, label], { name: 'few' });
    assert.deepEqual(job.spec.task, { type: 'Regression' });
    assert.ok(remarks.includes('too few rows of y to suggest task.center and task.scale'));
  });

  it('refuses classes that fewer than ten rows share, and labels that are none', () => {
    assert.throws(
      () => draftTask(profile('y', [...cells(60, () => 'a'), 'secret'])),
      (error: Error) => {
        assert.match(error.message, /fewer than 10 rows/);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
    assert.throws(
      () =>
        draftTask(
          profile(
            'y',
            cells(60, () => 'a'),
          ),
        ),
      { code: 'INVALID_ARGUMENT' },
    );
    assert.throws(
      () =>
        draftTask(
          profile(
            'y',
            cells(60, (row) => `t${String(row)}`),
          ),
        ),
      { code: 'INVALID_ARGUMENT' },
    );
  });
});

describe('tributary job init', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-draft-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('drafts a job for the loans that parses, remarks and all', async () => {
    const columns = await profileTable(join(DATA, 'lending_club.csv'), ',');
    const { job, remarks } = draftJob(columns, { name: 'loans', label: 'Class' });
    const { spec } = parseFederatedJob(parse(draftText({ job, remarks })));
    assert.deepEqual(spec.task, { type: 'Binary', positive: 'bad' });
    assert.ok(spec.features.length > 10);
    assert.ok(!spec.features.some(({ name }) => name === 'Class'));
  });

  it('finds a label by its customary name, and asks where there is none', () => {
    const x = profile(
      'x',
      cells(60, (row) => row / 3),
    );
    const label = profile(
      'Outcome',
      cells(60, (row) => row % 2),
    );
    assert.equal(draftJob([x, label], { name: 'a' }).job.spec.dataset.label, 'Outcome');
    assert.throws(() => draftJob([x], { name: 'a' }), { code: 'USAGE', hint: /--label: x/ });
    assert.throws(() => draftJob([x, label], { name: 'a', label: 'z' }), { code: 'USAGE' });
  });

  it('refuses what is no table, without quoting it', async () => {
    const cases: readonly (readonly [string, string])[] = [
      ['', 'INVALID_ARGUMENT'],
      ['a,a\n1,2\n', 'INVALID_ARGUMENT'],
      ['a,\n1,2\n', 'INVALID_ARGUMENT'],
      ['a,b\n1,secret,3\n', 'INVALID_ARGUMENT'],
      ['a,b\n1,"secret\n', 'INVALID_ARGUMENT'],
    ];
    for (const [content, code] of cases) {
      const path = join(folder, 'table.csv');
      await writeFile(path, content);
      await assert.rejects(profileTable(path, ','), (error: Error & { code: string }) => {
        assert.equal(error.code, code, content);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    }
    await assert.rejects(profileTable(join(folder, 'none.csv'), ','), { code: 'USAGE' });
  });
});
