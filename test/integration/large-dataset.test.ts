import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { LIMITS } from '@tributary/proto';

import { jobDocument } from '../support/job-document.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const ROWS = 160_000;
const CATEGORIES = Array.from({ length: 1_000 }, (_, index) => `c${String(index)}`);
const PROCESS = fileURLToPath(new URL('../support/dataset-memory.js', import.meta.url));
const MIB = 2 ** 20;

function* lines(): Generator<string> {
  const comment = 'x'.repeat(600);
  yield 'c,comment,y\n';
  for (let row = 0; row < ROWS; row += 100) {
    let text = '';
    for (let one = row; one < row + 100; one += 1)
      text += `c${String((one * 7_919) % 1_000)},${comment}${String(one)},${one % 3 === 0 ? 'yes' : 'no'}\n`;
    yield text;
  }
}

const LINUX = process.platform === 'linux';

describe(`a dataset larger than the memory${LINUX ? '' : ' (skipped: its peak is read as Linux tells it)'}`, function () {
  this.timeout(240_000);
  let folder: TemporaryDirectory;
  before(async () => {
    folder = await temporaryDirectory();
  });
  after(() => folder.remove());

  it('is read and gone through with less memory than its rows take, and leaves no file', async function () {
    if (!LINUX) return this.skip();
    const path = join(folder.path, 'rows.csv');
    await pipeline(Readable.from(lines()), createWriteStream(path));
    const base = jobDocument();
    const job = {
      ...base,
      spec: {
        ...base.spec,
        task: { type: 'Binary', positive: 'yes' },
        dataset: { name: 'trial', label: 'y', testFraction: 0 },
        features: [{ name: 'c', type: 'Categorical', categories: CATEGORIES }],
        model: { name: 'trial', layers: [{ type: 'Dense', units: 1, activation: 'Sigmoid' }] },
        evaluation: { metrics: [] },
      },
    };
    const scratch = join(folder.path, 'scratch');
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--max-old-space-size=128',
      PROCESS,
      path,
      scratch,
      JSON.stringify(job),
    ]);
    const { rows, ones, encoded, held, peak } = JSON.parse(stdout) as Record<string, number>;
    assert.deepEqual([rows, ones], [ROWS, ROWS], 'every row came once, with its one category');
    assert.ok((encoded ?? 0) > 600 * MIB, String(encoded));
    assert.ok((held ?? Infinity) <= LIMITS.datasetMemoryBytes, String(held));
    assert.ok((peak ?? Infinity) < 512 * MIB, `${String(peak)} bytes at most at any time`);
    assert.deepEqual(await readdir(scratch), []);
  });
});
