import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';

import { LIMITS } from '@tributary/proto';
import type { CsvSource } from '@tributary/edge-agent/internal/domain/datasets/declaration.js';
import { openDataset } from '@tributary/edge-agent/internal/adapters/datasets/open-dataset.js';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';
import { datasetHandle } from '../../support/training-job.js';

describe('CSV source', () => {
  let folder: TemporaryDirectory;
  before(async () => {
    folder = await temporaryDirectory();
  });
  after(() => folder.remove());

  /** Names of columns, then the cells of each row. */
  async function read(content: string | Uint8Array, source: Partial<CsvSource> = {}): Promise<unknown[][]> {
    const path = join(folder.path, source.path ?? 'data.csv');
    await writeFile(path, content);
    return readAt({ ...source, path });
  }

  async function readAt(parts: Partial<CsvSource>): Promise<unknown[][]> {
    const source: CsvSource = {
      name: 'source',
      format: 'Csv',
      delimiter: ',',
      quote: '"',
      encoding: 'Utf8',
      ...parts,
    };
    const handle = datasetHandle('', 1, {
      declaration: { name: 'trial', sources: [source] },
      scratchDir: folder.path,
    });
    const dataset = await openDataset(handle, undefined);
    try {
      const table: unknown[][] = [[...dataset.carried]];
      for await (const { row } of dataset.rows()) table.push(dataset.carried.map((name) => row[name]));
      return table;
    } finally {
      await dataset.close();
    }
  }

  it('reads a byte order mark, CRLF, quotes, commas and line ends in cells, and skips blank lines', async () => {
    assert.deepEqual(await read('\ufeffa,b\r\n"1,5","say ""x"""\r\n\r\n"two\r\nlines",\r\n3,4'), [
      ['a', 'b'],
      ['1,5', 'say "x"'],
      ['two\r\nlines', ''],
      ['3', '4'],
    ]);
  });

  it('gives back any table of texts that was quoted by RFC 4180 (property)', async () => {
    const cell = fc.string({
      unit: fc.constantFrom('a', ',', '"', '\n', '\r', ' ', 'é', '漢', '\u001e', '\u001f'),
    });
    const table = fc.nat({ max: 3 }).chain((more) =>
      fc.array(fc.array(cell, { minLength: 2 + more, maxLength: 2 + more }), {
        minLength: 1,
        maxLength: 6,
      }),
    );
    await fc.assert(
      fc.asyncProperty(table, async (rows) => {
        const names = (rows[0] ?? []).map((_, index) => `c${String(index)}`);
        const text = [names, ...rows]
          .map((cells) => cells.map((value) => `"${value.replaceAll('"', '""')}"`).join(','))
          .join('\n');
        assert.deepEqual(await read(text), [names, ...rows]);
      }),
      { numRuns: 50 },
    );
  });

  it('never guesses: numbers, dates and words stay the text that they are', async () => {
    assert.deepEqual(await read('a,b\n007,2024-01-02\n1e3,true\nNULL,NA\n'), [
      ['a', 'b'],
      ['007', '2024-01-02'],
      ['1e3', 'true'],
      ['NULL', 'NA'],
    ]);
  });

  it('keeps columns apart that differ in case only or have odd names', async () => {
    assert.deepEqual(await read(`A,a,"sel""ect '",\n1,2,3,4\n`), [
      ['A', 'a', `sel"ect '`, ''],
      ['1', '2', '3', '4'],
    ]);
  });

  it('reads other delimiters, quotes, encodings and compressed files', async () => {
    const latin = Buffer.from("a;b\n'x;y';é\n", 'latin1');
    const dialect = { delimiter: ';', quote: "'", encoding: 'Latin1' } as const;
    assert.deepEqual(await read(latin, dialect), [
      ['a', 'b'],
      ['x;y', 'é'],
    ]);
    assert.deepEqual(await read(gzipSync('a,b\n1,2\n'), { path: 'data.csv.gz' }), [
      ['a', 'b'],
      ['1', '2'],
    ]);
  });

  it('reads files of a glob in the order of their names, and only with one header', async () => {
    for (const [name, text] of [
      ['part-2.csv', 'a,b\n3,4\n'],
      ['part-1.csv', 'a,b\n1,2\n'],
      ['part[3].csv', 'a,b\n9,9\n'],
    ] as const)
      await writeFile(join(folder.path, name), text);
    const glob = join(folder.path, 'part-*.csv');
    assert.deepEqual(await readAt({ glob }), [
      ['a', 'b'],
      ['1', '2'],
      ['3', '4'],
    ]);
    assert.deepEqual((await readAt({ glob: join(folder.path, 'part[?].csv') })).length, 2);
    await writeFile(join(folder.path, 'part-3.csv'), 'b,a\n5,6\n');
    await assert.rejects(readAt({ glob }), refusal('DATASET_INVALID', /do not name the same columns/));
    await assert.rejects(readAt({ glob: join(folder.path, 'none-*') }), refusal('DATASET_UNKNOWN', /glob/));
  });

  const secret = '4711.0815';
  const malformed: readonly [string, string | Uint8Array, RegExp][] = [
    ['too few cells', `a,b\n1,2\n${secret}\n`, /^line 3: another number of cells/],
    ['too many cells', `a,b\n1,2,${secret}\n`, /^line 2: another number of cells/],
    [
      'too few cells after a cell of two lines',
      `a,b\r\n"1\r\n",2\r\n${secret}\r\n`,
      /^line 4: another number/,
    ],
    ['a quote never closed', `a,b\n1,"${secret}\n2,3\n`, /never closed/],
    ['text after a closing quote', `a,b\n1,"${secret}"9\n`, /^line 2: a closing quote/],
    ['bytes that are no UTF-8', Buffer.from(`a,b\n${secret},\xff\xfe\n`, 'latin1'), /^line 2: not Csv/],
  ];
  for (const [name, text, words] of malformed) {
    it(`refuses ${name} with the line and without the content`, async () => {
      const error: unknown = await read(text).catch((cause: unknown) => cause);
      assert.ok(refusal('DATASET_INVALID', words)(error), inspect(error));
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes('4711'));
    });
  }

  it('takes a quote inside a cell that is not quoted as it is', async () => {
    assert.deepEqual((await read('a,b\n5" pipe,x\n'))[1], ['5" pipe', 'x']);
  });

  it('ends a record at its limit instead of growing', async () => {
    const long = `a,b\n1,"${'x'.repeat(3 * LIMITS.csvRecordBytes)}\n`;
    await assert.rejects(read(long), refusal('LIMIT_EXCEEDED', /line 2: a record is longer/));
    const wide = Array.from({ length: LIMITS.datasetColumns + 1 }, () => 'x').join(',');
    await assert.rejects(read(wide), refusal('LIMIT_EXCEEDED', /columns/));
  });

  it('says that a file is not there, or not a file', async () => {
    await assert.rejects(readAt({ path: join(folder.path, 'none.csv') }), refusal('DATASET_UNKNOWN'));
    await assert.rejects(readAt({ path: folder.path }), refusal('DATASET_INVALID', /EISDIR/));
  });
});
