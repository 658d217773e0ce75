import { createReadStream } from 'node:fs';

import { LIMITS, TributaryError } from '@tributary/proto';
import { CsvError, parse } from 'csv-parse';

import { ColumnProfile } from './column-profile.js';

/**
 * Profiles of the columns of a CSV file (RFC 4180, UTF-8, first line names the columns), read once in bounded memory.
 * Throws USAGE where the file cannot be read, INVALID_ARGUMENT with the line where it is not CSV, LIMIT_EXCEEDED; no
 * error holds a part of the file.
 */
export async function profileTable(path: string, delimiter: string): Promise<readonly ColumnProfile[]> {
  let columns: readonly ColumnProfile[] | undefined;
  for await (const cells of records(path, delimiter)) {
    if (columns === undefined) columns = header(cells);
    else for (const [place, column] of columns.entries()) column.add(cells[place]);
  }
  if (columns === undefined)
    throw new TributaryError('INVALID_ARGUMENT', `${path} is empty; its first line names the columns`);
  return columns;
}

function header(cells: readonly string[]): readonly ColumnProfile[] {
  const names = cells.map((cell) => cell.trim());
  const nameless = names.findIndex((name) => name === '');
  if (nameless >= 0)
    throw new TributaryError(
      'INVALID_ARGUMENT',
      `column ${String(nameless + 1)} of the first line has no name`,
    );
  if (new Set(names).size < names.length)
    throw new TributaryError('INVALID_ARGUMENT', 'the first line names two columns alike');
  return names.map((name) => new ColumnProfile(name));
}

async function* records(path: string, delimiter: string): AsyncGenerator<readonly string[], void, undefined> {
  const source = createReadStream(path);
  const parser = parse({
    bom: true,
    delimiter,
    skip_empty_lines: true,
    max_record_size: LIMITS.csvRecordBytes,
  });
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  try {
    for await (const record of parser) {
      const cells = record as readonly string[];
      if (cells.length > LIMITS.datasetColumns)
        throw new TributaryError(
          'LIMIT_EXCEEDED',
          `a table has at most ${String(LIMITS.datasetColumns)} columns`,
        );
      yield cells;
    }
  } catch (error) {
    throw withoutContent(error, path);
  } finally {
    source.destroy();
  }
}

/** The words of the parser quote the record. */
function withoutContent(error: unknown, path: string): unknown {
  if (error instanceof TributaryError) return error;
  if (error instanceof CsvError) {
    const line = String(error['lines']);
    return new TributaryError('INVALID_ARGUMENT', `${path}: line ${line} is not CSV (${error.code})`, {
      hint: 'Check quotes and the number of cells, or name the separator with --delimiter.',
    });
  }
  const fault = error instanceof Error && 'code' in error ? String(error.code) : 'unknown fault';
  return new TributaryError('USAGE', `--from: ${path} cannot be read (${fault})`, {
    cause: error,
    hint: 'Name a CSV file that exists and that you may read.',
  });
}
