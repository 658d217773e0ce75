import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { datasetAt } from '../demo/experiment.js';
import { hospitals } from '../demo/hospital/sites.js';
import { testData } from '../demo/splits.js';
import { rowsOf } from '../support/dataset-rows.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { repositoryRoot } from '../support/daemon.js';

describe('data of the demo hospital', () => {
  let folder: TemporaryDirectory;
  before(async () => {
    folder = await temporaryDirectory();
  });
  after(() => folder.remove());

  it('is one table by the SQL of each site: the same columns and classes, every known outcome, no other', async () => {
    const { sites, censored } = hospitals(await testData('rotterdam.csv'), await testData('gbsg.csv'));
    const counts: [site: string, rows: number, events: number][] = [];
    for (const { name, csv, view } of sites) {
      const path = join(folder.path, `${name}.csv`);
      await writeFile(path, csv);
      const rows = await rowsOf(datasetAt(name, path, view));
      for (const { cells } of rows) {
        assert.deepEqual(Object.keys(cells).sort(), [
          'age',
          'er',
          'event',
          'grade',
          'hormon',
          'meno',
          'nodes',
          'pgr',
          'size_class',
        ]);
        assert.ok(['<=20', '20-50', '>50'].includes(String(cells['size_class'])));
      }
      counts.push([name, rows.length, rows.filter(({ cells }) => cells['event'] === 'yes').length]);
    }
    // Counted apart from this code, from the same rules.
    assert.deepEqual(counts, [
      ['rotterdam-1978-1988', 1_553, 530],
      ['rotterdam-1989-1993', 1_391, 392],
      ['gbsg', 555, 224],
    ]);
    assert.equal(censored, 2_982 + 686 - 1_553 - 1_391 - 555);
  });

  it('comes with its licence', async () => {
    const readme = await readFile(join(repositoryRoot, 'test/data/README.md'), 'utf8');
    for (const file of ['rotterdam.csv', 'gbsg.csv'])
      assert.match(readme, new RegExp(`\\| ${file} \\|.*LGPL`));
  });
});
