import { createReadStream } from 'node:fs';

import { LIMITS, TributaryError, type ErrorCode } from '@tributary/proto';
import { CsvError, parse, type Info } from 'csv-parse';

/** One record of a CSV file: its cells, and the line of the file on which it ends, from 1. */
export interface CsvRecord {
  readonly line: number;
  readonly cells: readonly string[];
}

/**
 * The records of a CSV file in order (RFC 4180; UTF-8 with or without byte order mark; LF or CRLF), the header first.
 * Lines without any character are skipped. Memory is bounded by LIMITS.csvRecordBytes. Throws DATASET_INVALID with a
 * line number, LIMIT_EXCEEDED, or DATASET_UNKNOWN; no error ever holds a part of the file.
 */
export async function* readCsv(path: string): AsyncGenerator<CsvRecord, void, undefined> {
  const source = createReadStream(path);
  const parser = parse({
    bom: true,
    info: true,
    skip_empty_lines: true,
    max_record_size: LIMITS.csvRecordBytes,
  });
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  const lines = new LineCount();
  try {
    for await (const item of parser) {
      const { record, info } = item as { readonly record: readonly string[]; readonly info: Info };
      const line = lines.at(info.lines, record);
      if (record.length > LIMITS.csvColumns) throw tooManyColumns(line);
      yield { line, cells: record };
    }
  } catch (error) {
    throw withoutContent(error, lines);
  } finally {
    source.destroy();
  }
}

/** Puts the line numbers of the parser right: it counts CRLF inside a quoted cell as two line ends. */
class LineCount {
  #counted = 0;
  #surplus = 0;

  /** The line on which a record ends, for which the parser says `counted`. */
  at(counted: number, cells: readonly string[]): number {
    if (counted > this.#counted + 1) {
      for (const cell of cells) this.#surplus += cell.split('\r\n').length - 1;
    }
    this.#counted = counted;
    return this.corrected(counted);
  }

  corrected(counted: number): number {
    return counted - this.#surplus;
  }
}

const tooManyColumns = (line: number): TributaryError =>
  new TributaryError(
    'LIMIT_EXCEEDED',
    `line ${String(line)}: a dataset has at most ${String(LIMITS.csvColumns)} columns`,
  );

/** Code, words for the site, and the fault as the domain tells it outside. */
const CSV_FAULTS: Readonly<Record<string, readonly [ErrorCode, string, fault?: string]>> = {
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: [
    'DATASET_INVALID',
    'another number of cells than the header',
    'CellCount',
  ],
  CSV_QUOTE_NOT_CLOSED: ['DATASET_INVALID', 'a quote is opened and never closed', 'Quote'],
  CSV_INVALID_CLOSING_QUOTE: [
    'DATASET_INVALID',
    'a closing quote is followed by something other than a comma or line end',
    'Quote',
  ],
  INVALID_OPENING_QUOTE: ['DATASET_INVALID', 'a quote stands inside a cell that is not quoted', 'Quote'],
  CSV_MAX_RECORD_SIZE: [
    'LIMIT_EXCEEDED',
    `a record is longer than ${String(LIMITS.csvRecordBytes)} bytes; is a quote never closed?`,
  ],
};

/** Our own words for a fault: those of the parser quote the cell, and its error object carries the record. */
function withoutContent(error: unknown, lines: LineCount): unknown {
  if (error instanceof TributaryError) return error;
  if (error instanceof CsvError) {
    const [code, words, fault] = CSV_FAULTS[error.code] ?? ['DATASET_INVALID', 'not CSV'];
    const line = lines.corrected(Number(error['lines']));
    return new TributaryError(code, `line ${String(line)}: ${words}`, {
      fields: { line, ...(fault === undefined ? {} : { fault }) },
    });
  }
  const cause = error instanceof Error && 'code' in error ? String(error.code) : 'unknown fault';
  if (cause === 'ENOENT')
    return new TributaryError('DATASET_UNKNOWN', 'the file of the dataset does not exist', {
      fields: { fault: 'NoFile' },
      hint: 'check datasets[].path in the configuration of the agent',
    });
  return new TributaryError('DATASET_INVALID', `the file of the dataset cannot be read (${cause})`, {
    fields: { fault: 'Unreadable' },
  });
}
