import type { DuckDBDataChunk } from '@duckdb/node-api';
import type { Cell, CellFault, Row } from '@tributary/proto';

import { isUnreadable, type CellRule } from '../../domain/deidentification/deidentifier.js';
import type { DuckDbSession } from './duckdb-session.js';
import { packed, unpacked } from './packed-texts.js';
import { cellReader, type Column } from './typed-columns.js';

/** What is read of a relation, in which form. */
export interface Reading {
  /** Quoted name. */
  readonly relation: string;
  /** False: rows are sorted by all columns. */
  readonly ordered: boolean;
  readonly cells: readonly { readonly column: Column; readonly rule: CellRule | undefined }[];
  readonly key: Column | undefined;
}

export interface ReadRow {
  /** Reused for the next row. */
  readonly row: Row;
  /** Undefined where the dataset has no key, null where this row has none. */
  readonly key: string | null | undefined;
  readonly index: number;
  /** A cell that the policy's rule cannot make coarser. */
  readonly problem: { readonly column: string; readonly fault: CellFault } | undefined;
}

/** Streams rows; what is held is a chunk of some thousand of them. */
export async function* readRows(
  session: DuckDbSession,
  reading: Reading,
): AsyncGenerator<ReadRow, void, undefined> {
  const { cells, key } = reading;
  const wanted = [...cells.map(({ column }) => column), ...(key === undefined ? [] : [key])];
  const result = await session.stream(queryOf(reading, wanted));
  const row = Object.create(null) as Record<string, Cell>;
  let index = 0;
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) return;
    const columns = columnsOf(chunk, wanted);
    const keys = key === undefined ? undefined : columns[cells.length];
    for (let place = 0; place < chunk.rowCount; place += 1) {
      let problem: ReadRow['problem'];
      for (const [at, { column, rule }] of cells.entries()) {
        const cell = columns[at]?.[place];
        const told = rule === undefined ? cell : rule(cell);
        if (isUnreadable(told)) problem ??= { column: column.name, fault: told.fault };
        else row[column.name] = told;
      }
      yield { row, index, problem, key: keyOf(keys, place) };
      index += 1;
    }
  }
}

/** Numbers and lists cross one by one, before the texts. */
const crossesAlone = ({ kind }: Column): boolean =>
  kind === 'Number' || kind === 'Numbers' || kind === 'Nested';

function queryOf({ relation, ordered }: Reading, wanted: readonly Column[]): string {
  if (wanted.length === 0) return `SELECT NULL FROM ${relation}`;
  const alone = wanted.filter(crossesAlone).map(({ expression }) => expression);
  const texts = wanted.filter((column) => !crossesAlone(column)).map(({ expression }) => expression);
  const from = ordered ? relation : `(SELECT * FROM ${relation} ORDER BY ALL)`;
  return `SELECT ${[...alone, ...packed(texts)].join(', ')} FROM ${from}`;
}

/** The cells of each column that {@link queryOf} asked for, in the order of `wanted`. */
function columnsOf(chunk: DuckDBDataChunk, wanted: readonly Column[]): readonly (readonly Cell[])[] {
  const alone = wanted.filter(crossesAlone);
  const texts = unpacked(chunk, alone.length, wanted.length - alone.length);
  let [nextAlone, nextText] = [0, 0];
  return wanted.map((column) => {
    const read = cellReader(column.kind);
    if (crossesAlone(column)) return chunk.getColumnValues(nextAlone++).map(read);
    const cells = texts[nextText++] ?? [];
    return column.kind === 'Text' ? cells : cells.map(read);
  });
}

function keyOf(keys: readonly Cell[] | undefined, place: number): string | null | undefined {
  if (keys === undefined) return undefined;
  const key = keys[place];
  return key === null || key === undefined || key === '' ? null : String(key);
}
