import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { TributaryError, type ErrorCode } from '@tributary/proto';
import type { SourceDeclaration } from '@tributary/edge-agent/internal/domain/datasets/declaration.js';
import { DuckDbSession } from '@tributary/edge-agent/internal/adapters/datasets/duckdb-session.js';
import { loadDataset } from '@tributary/edge-agent/internal/adapters/datasets/encoded-dataset.js';

import { rowsOf } from '../../support/dataset-rows.js';
import { datasetHandle, trainingSpec, trialCsv } from '../../support/training-job.js';

type Options = Partial<SourceDeclaration> & { readonly view?: string };

describe('Files and views that mean harm', () => {
  let directory = '';

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hostile-files-'));
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function handleOf(name: string, content: string | Uint8Array, { view, ...options }: Options = {}) {
    const path = join(directory, name);
    await writeFile(path, content);
    const plain = datasetHandle(path);
    const [source] = plain.declaration.sources;
    const sources = [{ ...source, ...options } as SourceDeclaration];
    return { ...plain, declaration: { name: 'trial', sources, ...(view === undefined ? {} : { view }) } };
  }

  const refusedAs = (code: ErrorCode, words: RegExp) => (error: unknown) =>
    error instanceof TributaryError && error.code === code && words.test(error.message);

  it('refuses a first line of delimiters alone once it is longer than any record', async () => {
    const handle = await handleOf('commas.csv', ','.repeat(2 * 1024 * 1024));
    await assert.rejects(rowsOf(handle), refusedAs('LIMIT_EXCEEDED', /line 1: a record is longer/));
  });

  it('refuses a gzip file that was cut off', async () => {
    const whole = gzipSync(trialCsv(2_000));
    assert.equal((await rowsOf(await handleOf('whole.csv.gz', whole))).length, 2_000);
    const cut = await handleOf('cut.csv.gz', whole.subarray(0, whole.length / 2));
    await assert.rejects(rowsOf(cut), refusedAs('DATASET_INVALID', /cannot be read/));
  });

  for (const [format, before, after] of [
    ['Json', '[', ']'],
    ['NdJson', '', '\n'],
    ['FhirNdJson', '', '\n'],
  ] as const) {
    it(`refuses ${format} that is nested deeper than the reader survives, in any kind of bracket`, async () => {
      for (const [open, close] of [
        ['[', ']'],
        ['{"k":', '}'],
      ] as const) {
        const nested = `${before}{"a":"\\"[[{","x":${open.repeat(50_000)}1${close.repeat(50_000)}}${after}`;
        const handle = await handleOf('deep.json', nested, { format });
        await assert.rejects(rowsOf(handle), refusedAs('LIMIT_EXCEEDED', /nested at most/));
      }
    });
  }

  it('take brackets inside of texts for texts', async () => {
    const text = `\\"${'['.repeat(500)}\\\\`;
    const handle = await handleOf('texts.json', `[{"a":"${text}"},{"a":"b"}]`, { format: 'Json' });
    assert.equal((await rowsOf(handle)).length, 2);
  });

  it('sorts more than fits into memory in encrypted files that nobody else reads, and leaves none', async () => {
    const scratch = join(directory, 'not', 'there', 'yet');
    const session = await DuckDbSession.open([], scratch);
    const result = await session.stream(
      "SELECT hash(range)::VARCHAR || repeat('SECRET', 40) FROM range(1300000) ORDER BY 1",
    );
    assert.ok(((await result.fetchChunk())?.rowCount ?? 0) > 0);
    const [folder = ''] = await readdir(scratch);
    assert.equal((await stat(join(scratch, folder))).mode & 0o777, 0o700);
    const files = await readdir(join(scratch, folder));
    assert.ok(files.length > 0, 'nothing was spilled');
    for (const file of files)
      assert.ok(!(await readFile(join(scratch, folder, file))).includes('SECRETSECRET'));
    await session.close();
    assert.deepEqual(await readdir(scratch), []);
  });

  it('stops a view that would never end', async () => {
    const view =
      'WITH RECURSIVE r AS (SELECT * FROM source UNION ALL SELECT * FROM r) SELECT x1, x2, c, max(y) AS y FROM r GROUP BY ALL';
    const dataset = await handleOf('rows.csv', trialCsv(20), { view });
    const start = performance.now();
    const stop = (): void => {
      if (performance.now() - start > 500) throw new TributaryError('JOB_CANCELLED', 'enough');
    };
    await assert.rejects(
      loadDataset({ dataset, spec: trainingSpec() }, stop),
      refusedAs('JOB_CANCELLED', /enough/),
    );
    assert.ok(performance.now() - start < 10_000);
  });
});
