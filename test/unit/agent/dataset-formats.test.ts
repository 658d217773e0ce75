import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';

import type {
  DatasetDeclaration,
  SourceDeclaration,
} from '@tributary/edge-agent/internal/domain/datasets/declaration.js';
import { openDataset } from '@tributary/edge-agent/internal/adapters/datasets/open-dataset.js';

import { rowsOf } from '../../support/dataset-rows.js';
import { runSql } from '../../support/duckdb-files.js';
import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';
import { datasetHandle } from '../../support/training-job.js';

const SECRET = 'canary-4711';

describe('dataset formats', () => {
  let folder: TemporaryDirectory;
  before(async () => {
    folder = await temporaryDirectory();
  });
  after(() => folder.remove());

  const at = (name: string): string => join(folder.path, name);
  const handle = (source: SourceDeclaration, parts: Partial<DatasetDeclaration> = {}) =>
    datasetHandle('', 1, {
      declaration: { name: 'trial', sources: [source], ...parts },
      scratchDir: at('scratch'),
    });
  const cellsOf = async (source: SourceDeclaration, view?: string) =>
    (await rowsOf(handle(source, view === undefined ? {} : { view }))).map(({ cells }) => cells);

  it('reads the types of Parquet as numbers, ISO texts, lists and null', async () => {
    const path = at('types.parquet');
    await runSql(`COPY (
      SELECT 1.5::DOUBLE AS d, 7::SMALLINT AS s, 2.25::DECIMAL(9, 2) AS m, 9007199254740991 AS safe,
        9007199254740993 AS unsafe, true AS b, DATE '2024-05-31' AS day,
        TIMESTAMP '2024-05-31 10:11:12.5' AS moment, TIMESTAMPTZ '2024-05-31 10:00:00+02' AS zoned,
        [1.5, NULL, 3] AS list, 'x' AS t, NULL::VARCHAR AS nothing, {'deep': 1} AS nested
    ) TO '${path}' (FORMAT parquet)`);
    assert.deepEqual(await cellsOf({ name: 'source', format: 'Parquet', path }), [
      {
        d: 1.5,
        s: 7,
        m: 2.25,
        safe: 9007199254740991,
        unsafe: '9007199254740993',
        b: 'true',
        day: '2024-05-31',
        moment: '2024-05-31T10:11:12.5',
        zoned: '2024-05-31T08:00:00Z',
        list: [1.5, null, 3],
        t: 'x',
        nothing: null,
      },
    ]);
  });

  it('reads JSON and NDJSON with the type that all of their records allow', async () => {
    const records = [
      { a: 1, b: 'x', c: [1, 2] },
      { a: 2.5, d: false },
    ];
    await writeFile(at('array.json'), JSON.stringify(records));
    await writeFile(at('lines.ndjson'), records.map((record) => JSON.stringify(record)).join('\n'));
    const expected = [
      { a: 1, b: 'x', c: [1, 2], d: null },
      { a: 2.5, b: null, c: null, d: 'false' },
    ];
    assert.deepEqual(await cellsOf({ name: 'source', format: 'Json', path: at('array.json') }), expected);
    assert.deepEqual(await cellsOf({ name: 'source', format: 'NdJson', path: at('lines.ndjson') }), expected);
  });

  it('reads FHIR resources by paths, or whole for the SQL of the site', async () => {
    const path = at('Patient.ndjson');
    const resources = [
      { resourceType: 'Patient', id: 'p1', birthDate: '1970-01-02', address: [{ city: 'A' }] },
      { resourceType: 'Observation', id: 'o1' },
      { resourceType: 'Patient', id: 'p2', birthDate: '1980-03-04', gender: 'female' },
    ];
    await writeFile(path, resources.map((resource) => JSON.stringify(resource)).join('\n'));
    const columns = [
      { name: 'born', path: '$.birthDate' },
      { name: 'city', path: '$.address[0].city' },
    ];
    assert.deepEqual(
      await cellsOf({ name: 'p', format: 'FhirNdJson', path, resourceType: 'Patient', columns }),
      [
        { born: '1970-01-02', city: 'A' },
        { born: '1980-03-04', city: null },
      ],
    );
    assert.deepEqual(
      await cellsOf(
        { name: 'p', format: 'FhirNdJson', path },
        `SELECT id, resource ->> '$.gender' AS gender FROM p WHERE resource_type = 'Patient'`,
      ),
      [
        { id: 'p1', gender: null },
        { id: 'p2', gender: 'female' },
      ],
    );
  });

  it('blames the file, not the view, where the format is another', async () => {
    const path = at('named.parquet');
    await runSql(
      `COPY (SELECT 'p' || i AS pid, i * 88.4 AS crea FROM range(500) t(i)) TO '${path}' (FORMAT parquet)`,
    );
    const csv = {
      name: 'source',
      format: 'Csv',
      delimiter: ',',
      quote: '"',
      encoding: 'Utf8',
      path,
    } as const;
    for (const view of ['SELECT pid FROM source', undefined])
      await assert.rejects(cellsOf(csv, view), (error: unknown) => {
        assert.ok(refusal('DATASET_INVALID')(error), inspect(error));
        assert.doesNotMatch(String(error), /view/);
        return true;
      });
  });

  it('makes sequences of long tables, in the order that the SQL names', async () => {
    await writeFile(at('people.csv'), 'id,y\np1,yes\np2,no\n');
    await writeFile(at('values.csv'), 'id,t,x\np1,2,0.2\np2,1,9\np1,1,0.1\np1,3,\n');
    const csv = { format: 'Csv', delimiter: ',', quote: '"', encoding: 'Utf8' } as const;
    const declaration: DatasetDeclaration = {
      name: 'trial',
      sources: [
        { ...csv, name: 'people', path: at('people.csv') },
        { ...csv, name: 'measured', path: at('values.csv') },
      ],
      view: `SELECT id, y, list(CAST(x AS DOUBLE) ORDER BY CAST(t AS INTEGER)) AS wave
             FROM people JOIN measured USING (id) GROUP BY id, y`,
    };
    const rows = await rowsOf(datasetHandle('', 1, { declaration, scratchDir: at('scratch') }));
    assert.deepEqual(
      rows.map(({ cells }) => cells),
      [
        { id: 'p1', y: 'yes', wave: [0.1, 0.2, null] },
        { id: 'p2', y: 'no', wave: [9] },
      ],
    );
  });

  it('says that a column of the job is nested or not there, and what is no file of the format', async () => {
    await writeFile(at('nested.ndjson'), '{"deep":{"a":1},"y":"yes"}\n');
    const job = {
      dataset: { name: 'trial', label: 'deep', testFraction: 0, splitSeed: 1 },
      features: [],
      evaluation: {},
    };
    await assert.rejects(
      openDataset(handle({ name: 's', format: 'NdJson', path: at('nested.ndjson') }), job),
      refusal('DATASET_INVALID', /"deep" is not among the columns/),
    );
    await writeFile(at('bad.ndjson'), `{"a":1}\n{"a":"${SECRET}\n`);
    await writeFile(at('bad.parquet'), `PAR1 ${SECRET}`);
    for (const [format, path, words] of [
      ['NdJson', at('bad.ndjson'), /^line \d: not NdJson$/],
      ['FhirNdJson', at('bad.ndjson'), /^line \d: not FhirNdJson$/],
      ['Parquet', at('bad.parquet'), /^the file cannot be read as Parquet$/],
    ] as const) {
      const error: unknown = await rowsOf(handle({ name: 's', format, path })).catch(
        (cause: unknown) => cause,
      );
      assert.ok(refusal('DATASET_INVALID', words)(error), inspect(error));
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(SECRET));
    }
  });
});
