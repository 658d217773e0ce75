import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { DataVersion } from '@tributary/edge-agent/internal/adapters/datasets/data-version.js';
import { loadDataset } from '@tributary/edge-agent/internal/adapters/datasets/encoded-dataset.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { systemRandom } from '@tributary/edge-agent/internal/adapters/system/random.js';
import { versionKey } from '@tributary/edge-agent/internal/app/version-key.js';
import { isTestRow } from '@tributary/edge-agent/internal/domain/datasets/split.js';
import type { Cell } from '@tributary/proto';
import fc from 'fast-check';

import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';
import { datasetHandle, trainingSpec } from '../../support/training-job.js';

const KEY = new Uint8Array(32).fill(9);

function versionOf(rows: readonly (readonly Cell[])[], columns: readonly string[], key = KEY): string {
  const version = new DataVersion(key, columns);
  for (const cells of rows)
    version.add(Object.fromEntries(columns.map((column, place) => [column, cells[place]])));
  return version.finish();
}

describe('data version', () => {
  let folder: TemporaryDirectory;
  before(async () => {
    folder = await temporaryDirectory();
  });
  after(() => folder.remove());

  it('is the HMAC that its documentation says', () => {
    const length = (value: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(value);
      return bytes;
    };
    const text = (value: string): Buffer =>
      Buffer.concat([length(Buffer.byteLength(value)), Buffer.from(value)]);
    const number = Buffer.alloc(8);
    number.writeDoubleLE(2.5);
    const bytes = [
      Buffer.from('tributary data version 1\n'),
      ...[length(2), text('a'), text('b')],
      ...[Buffer.from([1]), text('é'), Buffer.from([0])],
      ...[Buffer.from([2]), number, Buffer.from([3]), length(1), Buffer.from([0])],
    ];
    const expected = createHmac('sha256', KEY).update(Buffer.concat(bytes)).digest('hex');
    const rows = [
      ['é', null],
      [2.5, [null]],
    ];
    assert.equal(versionOf(rows, ['a', 'b']), `hmac-sha256:${expected}`);
  });

  it('differs with any cell, their order, the columns and the secret (property)', () => {
    const cell = fc.oneof(fc.string(), fc.double({ noNaN: true }), fc.constant(null), fc.array(fc.nat()));
    const table = fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(table, table, (first, second) => {
        const same = JSON.stringify(first) === JSON.stringify(second);
        fc.pre(!JSON.stringify([first, second]).includes('-0'));
        assert.equal(versionOf(first, ['a', 'b']) === versionOf(second, ['a', 'b']), same);
        assert.notEqual(versionOf(first, ['a', 'b']), versionOf(first, ['a', 'c']));
        assert.notEqual(versionOf(first, ['a', 'b']), versionOf(first, ['a', 'b'], new Uint8Array(32)));
      }),
    );
  });

  it('reads texts longer than its buffer', () => {
    const long = 'x'.repeat(200_000);
    assert.equal(versionOf([[long]], ['a']), versionOf([[long]], ['a']));
    assert.notEqual(versionOf([[long]], ['a']), versionOf([[`${long}x`]], ['a']));
  });

  it('changes with rows that train, and only with columns that the job reads', async () => {
    const spec = trainingSpec();
    const test = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].filter((row) => isTestRow(spec.dataset, row));
    const [inTest = 0] = test;
    const inTrain = [0, 1, 2, 3].find((row) => !test.includes(row)) ?? 0;
    const load = async (change: (row: number) => string, extra = 'e'): Promise<string> => {
      const path = join(folder.path, 'rows.csv');
      const lines = Array.from({ length: 10 }, (_, row) => `${change(row)},1,red,${extra},yes`);
      await writeFile(path, `x1,x2,c,extra,y\n${lines.join('\n')}\n`);
      const dataset = await loadDataset({ dataset: datasetHandle(path), spec }, () => undefined);
      dataset.close();
      return dataset.dataVersion;
    };
    const plain = await load(() => '1');
    assert.match(plain, /^hmac-sha256:[0-9a-f]{64}$/);
    assert.equal(await load(() => '1'), plain);
    assert.equal(await load((row) => (row === inTest ? '2' : '1')), plain, 'a test row');
    assert.equal(await load(() => '1', 'other'), plain, 'a column of nobody');
    assert.notEqual(await load((row) => (row === inTrain ? '2' : '1')), plain, 'a training row');
  });

  it('is made under a secret that is drawn once', async () => {
    const store = new MemoryStateStore();
    const key = await versionKey(store, systemRandom);
    assert.equal(key.length, 32);
    assert.deepEqual(await versionKey(store, systemRandom), key);
    assert.notDeepEqual(await versionKey(new MemoryStateStore(), systemRandom), key);
  });
});
