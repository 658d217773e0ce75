import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ERROR_TABLE } from '@tributary/proto';
import { stringify } from 'yaml';

import { BINARIES, runCommand, type Finished } from '../support/daemon.js';
import { jobDocument } from '../support/job-document.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const AUTHOR = `${'A'.repeat(43)}=`;

describe('tributary-agent dataset', function () {
  this.timeout(60_000);
  let folder: TemporaryDirectory;
  before(async () => {
    folder = await temporaryDirectory();
    await write('agent.yaml', {
      formatVersion: 1,
      dataDir: './data',
      policy: './policy.yaml',
      datasets: [{ name: 'loans', path: 'loans.csv', format: 'Csv' }],
    });
    const rows = Array.from({ length: 120 }, (_, row) => {
      const term = row < 3 ? 'odd-term' : row % 2 === 0 ? 'short' : 'long';
      return `${row < 12 ? '' : String(1_000 + row)},${term},${row % 4 === 0 ? 'Bad' : 'Good'},name-${String(row)}`;
    });
    await writeFile(join(folder.path, 'loans.csv'), `annual_inc,term,Class,name\n${rows.join('\n')}\n`);
  });
  beforeEach(() => policy({}));
  after(() => folder.remove());

  const write = (name: string, content: unknown): Promise<void> =>
    writeFile(join(folder.path, name), stringify(content));
  const policy = (rule: object): Promise<void> =>
    write('policy.yaml', {
      apiVersion: 'tributary.dev/v1alpha1',
      kind: 'SitePolicy',
      metadata: { name: 'west' },
      spec: {
        authors: [{ name: 'analyst', key: AUTHOR }],
        datasets: [{ name: 'loans', columns: ['*'], deidentification: { drop: ['name'] }, ...rule }],
        metrics: ['auc', 'accuracy', 'logLoss', 'brier'],
        maximumParameters: 100_000,
      },
    });
  const dataset = (...args: readonly string[]): Promise<Finished> =>
    runCommand(BINARIES.agent, ['dataset', ...args, '--config', join(folder.path, 'agent.yaml')]);

  it('describes what enough rows share, suppressed apart from zero', async () => {
    const { code, stdout, stderr } = await dataset('describe', 'loans', '-o', 'json');
    assert.equal(code, 0, stderr);
    const { rows, columns } = JSON.parse(stdout) as {
      rows: number;
      columns: { name: string; missing: unknown; values?: { value: string }[]; suppressedValues?: number }[];
    };
    assert.equal(rows, 120);
    assert.deepEqual(
      columns.map(({ name }) => name),
      ['annual_inc', 'term', 'Class'],
    );
    assert.deepEqual(
      columns.map(({ missing }) => missing),
      [12, 0, 0],
    );
    assert.deepEqual([columns[1]?.values?.length, columns[1]?.suppressedValues], [1, 2]);
    assert.ok(!stdout.includes('odd-term') && !stdout.includes('name-'));
    await policy({ minCount: 13 });
    const text = (await dataset('describe', 'loans')).stdout;
    assert.match(text, /annual_inc \(text, Number\): suppressed .* present, suppressed .* missing/);
    assert.match(text, /Class \(text, Text\): 120 present, 0 missing/);
  });

  it('checks a dataset against a job, and says what stands in the way', async () => {
    const job = jobDocument();
    await write('job.yaml', job);
    const file = join(folder.path, 'job.yaml');
    const fine = await dataset('check', '-f', file, '-o', 'json');
    const [check] = JSON.parse(fine.stdout) as {
      ok: boolean;
      problems: string[];
      notes?: string[];
      classes: unknown[];
    }[];
    assert.deepEqual([check?.problems, check?.ok, fine.code], [[], true, 0], fine.stdout);
    assert.deepEqual(check?.classes, [
      { value: 'Good', rows: 90 },
      { value: 'Bad', rows: 30 },
      { value: 'bad', rows: 0 },
    ]);
    assert.deepEqual(
      check?.notes?.[0],
      'no row has the positive value "bad" in "Class": all of them count as negative',
    );
    await policy({ minimumRows: 500, deidentification: { drop: ['term'] } });
    const refused = await dataset('check', 'loans', '-f', file);
    assert.equal(refused.code, ERROR_TABLE.DATASET_INVALID.exit);
    assert.match(refused.stdout, /POLICY_REFUSED: .*column term of loans is dropped/);
    assert.match(refused.stdout, /DATASET_TOO_SMALL: the policy demands 500 rows/);
    await policy({ deidentification: { kAnonymity: { quasiIdentifiers: ['term'], k: 5 } } });
    const standing = await dataset('check', 'loans');
    assert.match(standing.stdout, /k-anonymity: rows that stand out: suppressed/);
    assert.match(standing.stdout, /POLICY_REFUSED: rows stand out by term/);
  });

  it('names a dataset that is not declared, and a form that is none', async () => {
    assert.match((await dataset('describe', 'patients')).stderr, /DATASET_UNKNOWN.*\n.*one of loans/);
    assert.match(
      (await dataset('check', '-o', 'xml')).stderr,
      /'xml' is invalid. Allowed choices are text, json/,
    );
  });
});
