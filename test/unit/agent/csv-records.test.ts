import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';

import fc from 'fast-check';
import { LIMITS } from '@tributary/proto';
import { readCsv, type CsvRecord } from '@tributary/edge-agent/internal/adapters/datasets/csv-records.js';

import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';

describe('CSV records', () => {
  let folder: TemporaryDirectory;
  before(async () => {
    folder = await temporaryDirectory();
  });
  after(() => folder.remove());

  async function read(content: string | Uint8Array): Promise<CsvRecord[]> {
    const path = join(folder.path, 'data.csv');
    await writeFile(path, content);
    return collect(path);
  }

  it('read a byte order mark, CRLF, quotes, commas and line ends in cells, and skip blank lines', async () => {
    const records = await read('\ufeffa,b\r\n"1,5","say ""x"""\r\n\r\n"two\r\nlines",\r\n3,4');
    assert.deepEqual(
      records.map(({ cells }) => cells),
      [
        ['a', 'b'],
        ['1,5', 'say "x"'],
        ['two\r\nlines', ''],
        ['3', '4'],
      ],
    );
    assert.deepEqual(
      records.map(({ line }) => line),
      [1, 2, 5, 6],
    );
  });

  it('give back any table of texts that was quoted by RFC 4180 (property)', async () => {
    const cell = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', ' ', 'é', '漢') });
    const table = fc.nat({ max: 3 }).chain((more) =>
      fc.array(fc.array(cell, { minLength: 2 + more, maxLength: 2 + more }), {
        minLength: 1,
        maxLength: 6,
      }),
    );
    await fc.assert(
      fc.asyncProperty(table, async (rows) => {
        const text = rows
          .map((cells) => cells.map((value) => `"${value.replaceAll('"', '""')}"`).join(','))
          .join('\n');
        assert.deepEqual(
          (await read(text)).map(({ cells }) => cells),
          rows,
        );
      }),
      { numRuns: 50 },
    );
  });

  it('read nothing from an empty file', async () => {
    assert.deepEqual(await read(''), []);
  });

  const secret = '4711.0815';
  const malformed: readonly [string, string, RegExp][] = [
    ['too few cells', `a,b\n1,2\n${secret}\n`, /^line 3: another number of cells/],
    ['too many cells', `a,b\n1,2,${secret}\n`, /^line 2: another number of cells/],
    ['a quote never closed', `a,b\n1,"${secret}\n2,3\n`, /never closed/],
    ['text after a closing quote', `a,b\n1,"${secret}"9\n`, /^line 2: a closing quote/],
    ['a quote inside a cell', `a,b\n1,${secret}"\n`, /^line 2: a quote stands inside/],
  ];
  for (const [name, text, words] of malformed) {
    it(`refuse ${name} with the line and without the content`, async () => {
      const error: unknown = await read(text).then(
        () => undefined,
        (cause: unknown) => cause,
      );
      assert.ok(refusal('DATASET_INVALID', words)(error), inspect(error));
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes('4711'));
    });
  }

  it('end a record at its limit instead of growing', async () => {
    const long = `a,b\n1,"${'x'.repeat(LIMITS.csvRecordBytes + 10)}\n`;
    await assert.rejects(read(long), refusal('LIMIT_EXCEEDED', /line 2: a record is longer/));
    const wide = Array.from({ length: LIMITS.csvColumns + 1 }, () => 'x').join(',');
    await assert.rejects(read(wide), refusal('LIMIT_EXCEEDED', /columns/));
  });

  it('say that a file is not there, or not a file', async () => {
    await assert.rejects(collect(join(folder.path, 'none.csv')), refusal('DATASET_UNKNOWN'));
    await assert.rejects(collect(folder.path), refusal('DATASET_INVALID', /EISDIR/));
  });
});

async function collect(path: string): Promise<CsvRecord[]> {
  const records: CsvRecord[] = [];
  for await (const record of readCsv(path)) records.push(record);
  return records;
}
