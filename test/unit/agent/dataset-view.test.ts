import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';

import { isTestKey } from '@tributary/edge-agent/internal/domain/datasets/split.js';
import type { DatasetHandle } from '@tributary/edge-agent/internal/ports.js';
import { TributaryError } from '@tributary/proto';

import { rowsOf } from '../../support/dataset-rows.js';
import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';
import { datasetHandle } from '../../support/training-job.js';

const SECRET = 'canary-4711';
const JOB = {
  dataset: { name: 'trial', label: 'y', testFraction: 0.3, splitSeed: 4 },
  features: [],
  evaluation: {},
};

describe('dataset view', () => {
  let folder: TemporaryDirectory;
  let path: string;
  before(async () => {
    folder = await temporaryDirectory();
    path = join(folder.path, 'rows.csv');
  });
  after(() => folder.remove());

  function handle(view: string | undefined, key?: string): DatasetHandle {
    const base = datasetHandle(path);
    return {
      ...base,
      scratchDir: join(folder.path, 'scratch'),
      declaration: {
        ...base.declaration,
        ...(view === undefined ? {} : { view }),
        ...(key === undefined ? {} : { key }),
      },
    };
  }

  it('computes, filters and casts; empty cells of CSV are NULL in it', async () => {
    await writeFile(path, 'a,b\n1,x\n2,\n3,z\n');
    const rows = await rowsOf(
      handle(
        `SELECT CAST(a AS INTEGER) + 1 AS a, coalesce(b, 'none') AS b FROM source WHERE a <> '1' -- last`,
      ),
    );
    assert.deepEqual(
      rows.map(({ cells }) => cells),
      [
        { a: 3, b: 'none' },
        { a: 4, b: 'z' },
      ],
    );
  });

  it('keeps the order of the file where it only picks, and sorts where nothing fixes an order', async () => {
    const lines = Array.from(
      { length: 5_000 },
      (_, row) => `${String((row * 7_919) % 5_000)},${String(row % 7)}`,
    );
    await writeFile(path, `a,g\n${lines.join('\n')}\n`);
    const picked = await rowsOf(handle('SELECT CAST(a AS INTEGER) AS a FROM source'));
    assert.deepEqual(
      picked.map(({ cells }) => cells['a']),
      lines.map((line) => Number(line.split(',')[0])),
    );
    for (const view of [
      'SELECT CAST(a AS INTEGER) AS a, count(*) AS n FROM source GROUP BY a',
      'SELECT DISTINCT CAST(a AS INTEGER) AS a FROM source',
      'SELECT CAST(s.a AS INTEGER) AS a FROM source AS s JOIN source AS t USING (a)',
      'SELECT CAST(a AS INTEGER) AS a FROM source ORDER BY g',
    ]) {
      const rows = await rowsOf(handle(view));
      assert.deepEqual(
        rows.map(({ cells }) => cells['a']),
        Array.from({ length: 5_000 }, (_, row) => row),
        view,
      );
    }
  });

  it('keeps the rows of a key on one side of the split, whatever their order', async () => {
    const lines = Array.from({ length: 2_000 }, (_, row) => `p${String(row % 97)},${String(row)},yes`);
    await writeFile(path, `patient,x,y\n${lines.join('\n')}\n`);
    const handed = { ...handle('SELECT * FROM source', 'patient') };
    const rows = await rowsOf(handed, {
      ...JOB,
      features: [{ name: 'patient', type: 'Categorical', categories: ['p1'] }] as never,
    });
    const sides = new Map<unknown, boolean>();
    for (const { cells, test } of rows) {
      assert.equal(test, sides.get(cells['patient']) ?? test);
      sides.set(cells['patient'], test);
    }
    // Under a secret of the site: another site, or an author who knows a key, cannot tell its side.
    const elsewhere = await rowsOf(
      { ...handed, versionKey: new Uint8Array(32).fill(9) },
      {
        ...JOB,
        features: [{ name: 'patient', type: 'Categorical', categories: ['p1'] }] as never,
      },
    );
    assert.ok(elsewhere.some(({ cells, test }) => test !== sides.get(cells['patient'])));
    const share = rows.filter(({ test }) => test).length / rows.length;
    assert.ok(share > 0.15 && share < 0.45, String(share));
    await writeFile(path, `patient,x,y\np1,1,yes\n,2,${SECRET}\n`);
    await assert.rejects(rowsOf(handed, JOB), refusal('DATASET_INVALID', /^row 2: the key is missing$/));
    await assert.rejects(
      rowsOf(handle(undefined, 'person'), JOB),
      refusal('DATASET_INVALID', /the key "person" is not a column/),
    );
  });

  it('places keys where they always were: a model must not be tested on its training rows', () => {
    const keys = Array.from({ length: 24 }, (_, number) => `p${String(number)}`);
    const test = keys.filter((key) => isTestKey({ testFraction: 0.25, splitSeed: 1 }, key));
    assert.deepEqual(test, GOLDEN_KEYS);
  });

  const forbidden: readonly (readonly [string, string])[] = [
    ['another file', `SELECT * FROM read_text('/etc/passwd')`],
    ['another file as CSV', `SELECT * FROM read_csv('/etc/passwd', header = false)`],
    ['another file by name', `SELECT * FROM '/etc/passwd.csv'`],
    ['a file through a query', `SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')`],
    ['the environment of the process', `SELECT * FROM read_blob('/proc/self/environ')`],
    ['names of files', `SELECT * FROM glob('/etc/*')`],
    ['the network', `SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')`],
    ['an object store', `SELECT * FROM read_parquet('s3://bucket/x.parquet')`],
    ['another database', `ATTACH '/tmp/other.db'`],
    ['a copy', `COPY (SELECT 1) TO '/tmp/out.csv'`],
    ['a copy behind a SELECT', `SELECT 1 AS y; COPY (SELECT 1) TO '/tmp/out.csv'`],
    ['an extension', 'INSTALL httpfs'],
    ['loading one', 'LOAD httpfs'],
    ['unlocking', 'SET enable_external_access = true'],
    ['a table of its own', 'CREATE TABLE t AS SELECT 1 AS y'],
    ['an export', `EXPORT DATABASE '/tmp/export'`],
    ['secrets', 'SELECT * FROM duckdb_secrets()'],
  ];
  for (const [what, view] of forbidden) {
    it(`cannot reach ${what}`, async () => {
      await writeFile(path, `y\n${SECRET}\n`);
      const error: unknown = await rowsOf(handle(view)).catch((cause: unknown) => cause);
      assert.ok(refusal('DATASET_INVALID', /^the view /)(error), inspect(error));
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes('root:'));
    });
  }

  it('cannot write to its own sources either', async () => {
    await writeFile(path, 'y\nkept\n');
    await assert.rejects(rowsOf(handle(`COPY (SELECT 1 AS y) TO '${path}'`)), refusal('DATASET_INVALID'));
    assert.equal(await readFile(path, 'utf8'), 'y\nkept\n');
    assert.ok(!existsSync(join(folder.path, 'scratch', 'out.csv')));
  });

  it('is never answered with what it failed on', async () => {
    await writeFile(path, `a,y\n1,yes\n${SECRET},no\n`);
    for (const [view, words] of [
      ['SELECT CAST(a AS INTEGER) AS a FROM source', /^a value/],
      [`SELECT * FROM source WHERE error(a) IS NULL`, /./],
      ['SELECT nothing FROM source', /^the view names .*: nothing$/],
      ['SELECT FROM WHERE', /^the view is not/],
    ] as const) {
      const error: unknown = await rowsOf(handle(view)).catch((cause: unknown) => cause);
      assert.ok(refusal('DATASET_INVALID', words)(error), inspect(error));
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes('4711'));
      if (words.source.startsWith('^the view'))
        assert.match(
          error instanceof TributaryError ? (error.hint ?? '') : '',
          /tables of the view are source;/,
        );
    }
    await writeFile(path, `${SECRET},yes\n1,2\n`);
    const header: unknown = await rowsOf(handle('SELECT a FROM source')).catch((cause: unknown) => cause);
    assert.ok(!inspect(header, { depth: 10, showHidden: true }).includes('4711'));
  });
});

// Computed apart, by a Python implementation of the documented formula.
const GOLDEN_KEYS: readonly string[] = ['p2', 'p3', 'p7', 'p8', 'p14', 'p16', 'p21', 'p22'];
