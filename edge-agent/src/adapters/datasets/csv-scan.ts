import { LIMITS, TributaryError } from '@tributary/proto';

import type { CsvSource } from '../../domain/datasets/declaration.js';
import { readFile } from './file-checks.js';

/** One record: how many cells it has, and the line of the file on which it ends, from 1. */
export interface ScannedRecord {
  readonly line: number;
  readonly count: number;
  /** Cells of the first record of a file, else empty. */
  readonly cells: readonly string[];
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * Walks the records of a CSV file in the dialect of its source without keeping them: for the header, and to find the
 * line of a fault after the fact. Where the reader stops at a quote, so does this. Blank lines are no records. Throws
 * DATASET_INVALID with the line (quotes), LIMIT_EXCEEDED (a record too long), DATASET_UNKNOWN; never content.
 */
export async function* scanCsv(
  path: string,
  source: CsvSource,
): AsyncGenerator<ScannedRecord, void, undefined> {
  const scanner = new Scanner(source);
  for await (const bytes of readFile(path)) yield* scanner.take(bytes);
  yield* scanner.end();
}

type State = 'CellStart' | 'Plain' | 'Quoted' | 'QuoteInQuoted';

/** Bytes of UTF-8 and Latin-1 beyond ASCII are never delimiter, quote or line end. */
class Scanner {
  readonly #delimiter: number;
  readonly #quote: number;
  readonly #encoding: BufferEncoding;
  #state: State = 'CellStart';
  #line = 1;
  #count = 1;
  #bytes = 0;
  #afterCr = false;
  #started = false;
  /** Bytes of the cells of the first record; undefined after it. */
  #header: number[][] | undefined = [[]];

  constructor({ delimiter, quote, encoding }: CsvSource) {
    this.#delimiter = delimiter.charCodeAt(0);
    this.#quote = quote.charCodeAt(0);
    this.#encoding = encoding === 'Latin1' ? 'latin1' : 'utf8';
  }

  *take(bytes: Uint8Array): Generator<ScannedRecord, void, undefined> {
    const from = this.#started ? 0 : markLength(bytes);
    this.#started = true;
    for (let at = from; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0;
      const joined = this.#afterCr && byte === LF;
      this.#afterCr = byte === CR;
      // The second half of CRLF: the line has ended already.
      if (joined) {
        if (this.#state === 'Quoted') this.#keep(byte);
        continue;
      }
      const record = this.#step(byte);
      if (record !== undefined) yield record;
    }
  }

  *end(): Generator<ScannedRecord, void, undefined> {
    if (this.#state === 'Quoted') throw quoteFault(this.#line, 'a quote is opened and never closed');
    const last = this.#close();
    if (last !== undefined) yield last;
  }

  #step(byte: number): ScannedRecord | undefined {
    const lineEnd = byte === LF || byte === CR;
    if (this.#state === 'Quoted') {
      if (byte === this.#quote) this.#state = 'QuoteInQuoted';
      else this.#keep(byte);
      if (lineEnd) this.#line += 1;
      return undefined;
    }
    if (lineEnd) {
      const record = this.#close();
      this.#line += 1;
      return record;
    }
    if (byte === this.#delimiter) this.#nextCell();
    else this.#cellByte(byte);
    return undefined;
  }

  #nextCell(): void {
    this.#count += 1;
    this.#grow();
    this.#header?.push([]);
    this.#state = 'CellStart';
  }

  #cellByte(byte: number): void {
    if (this.#state === 'CellStart' && byte === this.#quote) {
      this.#state = 'Quoted';
      this.#grow();
      return;
    }
    if (this.#state === 'QuoteInQuoted') {
      if (byte !== this.#quote)
        throw quoteFault(
          this.#line,
          'a closing quote is followed by something other than a delimiter or line end',
        );
      this.#state = 'Quoted';
    } else this.#state = 'Plain';
    this.#keep(byte);
  }

  #keep(byte: number): void {
    this.#grow();
    this.#header?.at(-1)?.push(byte);
  }

  #grow(): void {
    this.#bytes += 1;
    if (this.#bytes > LIMITS.csvRecordBytes) throw tooLong(this.#line);
  }

  #close(): ScannedRecord | undefined {
    const blank = this.#count === 1 && this.#bytes === 0;
    const cells = (this.#header ?? []).map((cell) => Buffer.from(cell).toString(this.#encoding));
    const record = { line: this.#line, count: this.#count, cells };
    this.#header = blank && this.#header !== undefined ? [[]] : undefined;
    this.#state = 'CellStart';
    this.#count = 1;
    this.#bytes = 0;
    return blank ? undefined : record;
  }
}

/** Bytes of a byte order mark of UTF-8 at the start. */
const markLength = (bytes: Uint8Array): number =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;

const quoteFault = (line: number, words: string): TributaryError =>
  new TributaryError('DATASET_INVALID', `line ${String(line)}: ${words}`, {
    fields: { line, fault: 'Quote' },
  });

const tooLong = (line: number): TributaryError =>
  new TributaryError(
    'LIMIT_EXCEEDED',
    `line ${String(line)}: a record is longer than ${String(LIMITS.csvRecordBytes)} bytes; is a quote never closed?`,
    { fields: { line } },
  );
