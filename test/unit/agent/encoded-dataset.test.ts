import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';

import type { FederatedJobInput } from '@tributary/proto';
import { DatasetCache } from '@tributary/edge-agent/internal/adapters/datasets/dataset-cache.js';
import {
  loadDataset,
  type EncodedDataset,
} from '@tributary/edge-agent/internal/adapters/datasets/encoded-dataset.js';
import { EncodedRows } from '@tributary/edge-agent/internal/adapters/datasets/encoded-rows.js';
import { isTestRow } from '@tributary/edge-agent/internal/domain/datasets/split.js';

import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';
import { datasetHandle, trainingSpec } from '../../support/training-job.js';

type Parts = Partial<FederatedJobInput['spec']>;

const nothing = (): void => undefined;

/** All rows as [inputs..., label], in order. */
function rowsOf(rows: EncodedRows): number[][] {
  return Array.from({ length: rows.rows }, (_, row) => {
    const [values, label] = [new Float32Array(rows.width), new Float32Array(1)];
    rows.copyRow(row, 0, values, label);
    return [...values, ...label];
  });
}

describe('CSV dataset', () => {
  let folder: TemporaryDirectory;
  let path: string;
  before(async () => {
    folder = await temporaryDirectory();
    path = join(folder.path, 'data.csv');
  });
  after(() => folder.remove());

  async function load(text: string, parts: Parts = {}, minimumRows = 1): Promise<EncodedDataset> {
    await writeFile(path, text);
    return loadDataset({ dataset: datasetHandle(path, minimumRows), spec: trainingSpec(parts) }, nothing);
  }

  const all = { dataset: { name: 'trial', label: 'y', testFraction: 0 }, evaluation: { metrics: [] } };

  it('encodes by the plan of the job, whatever the order of columns; unknown categories share a bucket', async () => {
    const { train, test, width } = await load(
      'c,extra,y,x2,x1\nred,?,yes,3,0.5\nblue,?,no,1,-2\nviolet,?,maybe,-1,0\n,?,yes,1,1\n',
      all,
    );
    assert.equal(width, 5);
    assert.equal(test.rows, 0);
    assert.deepEqual(rowsOf(train), [
      [0.5, 1, 1, 0, 0, 1],
      [-2, 0, 0, 1, 0, 0],
      [0, -1, 0, 0, 1, 0],
      [1, 0, 0, 0, 1, 1],
    ]);
  });

  it('splits by the hash of seed and row, in file order', async () => {
    const spec = trainingSpec();
    const lines = Array.from({ length: 200 }, (_, row) => `${String(row)},1,red,yes`);
    const { train, test } = await load(`x1,x2,c,y\n${lines.join('\n')}\n`);
    const numbers = Array.from({ length: 200 }, (_, row) => row);
    assert.deepEqual(
      rowsOf(test).map(([x1]) => x1),
      numbers.filter((row) => isTestRow(spec.dataset, row)),
    );
    assert.deepEqual(
      rowsOf(train).map(([x1]) => x1),
      numbers.filter((row) => !isTestRow(spec.dataset, row)),
    );
    assert.ok(test.rows > 30 && test.rows < 70);
  });

  it('reads class indices and numbers as labels', async () => {
    const classes = {
      ...all,
      task: { type: 'MultiClass' as const, classes: ['low', 'high'] },
      model: outputs(2, 'Softmax'),
    };
    assert.deepEqual(
      rowsOf((await load('x1,x2,c,y\n1,1,red,high\n1,1,red,low\n', classes)).train).map((row) => row.at(-1)),
      [1, 0],
    );
    const regression = { ...all, task: { type: 'Regression' as const }, model: outputs(1, 'Linear') };
    assert.deepEqual(
      rowsOf((await load('x1,x2,c,y\n1,1,red,-2.5\n', regression)).train).map((row) => row.at(-1)),
      [-2.5],
    );
    await assert.rejects(
      load('x1,x2,c,y\n1,1,red,high\n', regression),
      refusal('DATASET_INVALID', /line 2, column "y": not a number/),
    );
    await assert.rejects(
      load('x1,x2,c,y\n1,1,red,4711\n', classes),
      refusal('DATASET_INVALID', /line 2, column "y": not one of the classes/),
    );
  });

  const secret = 'canary-4711';
  const faulty: readonly [string, string, RegExp][] = [
    [
      'a number that is none',
      `x1,x2,c,y\n1,2,red,yes\n${secret},2,red,yes\n`,
      /^line 3, column "x1": not a number$/,
    ],
    ['a missing label', `x1,x2,c,y\n1,2,${secret},\n`, /^line 2, column "y": a label is missing$/],
    ['a file without header', `1,2,${secret},yes\n`, /^column "y" is not in the first line/],
    ['a column named twice', `x1,x2,x2,c,y\n1,2,${secret},red,yes\n`, /^column "x2" is named more than once/],
    ['an empty file', '', /^the file is empty/],
  ];
  for (const [name, text, words] of faulty) {
    it(`refuses ${name}, naming the place and never the value`, async () => {
      const error: unknown = await load(text).then(
        () => undefined,
        (cause: unknown) => cause,
      );
      assert.ok(refusal('DATASET_INVALID', words)(error), inspect(error));
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes('4711'));
    });
  }

  it('refuses fewer rows than the policy demands, without telling how many there are', async () => {
    const error: unknown = await load('x1,x2,c,y\n1,1,red,yes\n1,1,red,yes\n', {}, 7).catch(
      (cause: unknown) => cause,
    );
    assert.ok(refusal('DATASET_TOO_SMALL', /fewer than the 7 rows/)(error));
    await assert.rejects(load('x1,x2,c,y\n'), refusal('DATASET_TOO_SMALL'));
  });

  it('stops where the checkpoint throws', async () => {
    await writeFile(path, 'x1,x2,c,y\n1,1,red,yes\n');
    const stop = (): void => {
      throw new Error('stop');
    };
    await assert.rejects(loadDataset({ dataset: datasetHandle(path), spec: trainingSpec() }, stop), /stop/);
  });

  it('is read once for the rounds of a job, and again when file or declaration change', async () => {
    let reads = 0;
    const cache = new DatasetCache((request, checkpoint) => {
      reads += 1;
      return loadDataset(request, checkpoint);
    });
    const request = { dataset: datasetHandle(path), spec: trainingSpec(all) };
    await writeFile(path, 'x1,x2,c,y\n1,1,red,yes\n');
    const first = await cache.get(request, nothing);
    assert.equal(await cache.get({ ...request, spec: trainingSpec({ ...all, rounds: 9 }) }, nothing), first);
    assert.equal(reads, 1);
    await cache.get({ ...request, dataset: datasetHandle(path, 0) }, nothing);
    await writeFile(path, 'x1,x2,c,y\n1,1,red,yes\n2,2,blue,no\n');
    assert.equal((await cache.get(request, nothing)).train.rows, 2);
    assert.equal(reads, 3);
  });
});

describe('encoded rows', () => {
  let folder: TemporaryDirectory;
  before(async () => {
    folder = await temporaryDirectory();
  });
  after(() => folder.remove());

  it('give back the same bits from memory, from the file and from the block in between', async () => {
    const width = 7;
    const values = (row: number): number[] =>
      Array.from({ length: width }, (_, at) => Math.fround(Math.sin(row * width + at)));
    const most = 700_000;
    const rows = new EncodedRows(width, folder.path, 8 * 1024 * 1024);
    for (let row = 0; row < most; row += 1) rows.append(row).set(values(row));
    assert.ok(rows.bytes <= 12 * 1024 * 1024, String(rows.bytes));
    const [inputs, labels] = [new Float32Array(2 * width), new Float32Array(2)];
    for (const row of [0, 131_071, 131_072, 262_143, 262_144, 400_000, 655_359, 655_360, most - 1]) {
      rows.copyRow(row, 1, inputs, labels);
      assert.deepEqual([...inputs.subarray(width)], values(row), String(row));
      assert.equal(labels[1], row);
    }
    assert.throws(() => {
      rows.copyRow(most, 0, inputs, labels);
    }, refusal('INTERNAL'));
    assert.deepEqual(await readdir(folder.path), [], 'the file has no name');
    rows.close();
    rows.close();
  });

  it('are zero where nobody wrote, in a block that is used again too', () => {
    const width = 2 ** 20;
    const rows = new EncodedRows(width, folder.path, 0);
    for (let row = 0; row < 4; row += 1)
      if (row < 2) rows.append(1).fill(1);
      else rows.append(2);
    const [inputs, labels] = [new Float32Array(width), new Float32Array(1)];
    rows.copyRow(3, 0, inputs, labels);
    assert.ok(inputs.every((value) => value === 0));
    rows.copyRow(1, 0, inputs, labels);
    assert.ok(inputs.every((value) => value === 1));
    rows.close();
  });
});

function outputs(units: number, activation: 'Softmax' | 'Linear'): NonNullable<Parts['model']> {
  return { name: 'trial', layers: [{ type: 'Dense', units, activation }] };
}
