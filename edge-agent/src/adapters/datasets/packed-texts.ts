import type { DuckDBDataChunk } from '@duckdb/node-api';

/** Control characters that hardly any cell holds: between cells, and in the place of a NULL. Where one does, see below. */
const SEPARATOR = '\u001e';
const NULL_MARK = '\u001f';

/**
 * Crossing into JavaScript costs much more than the bytes of a cell, so all texts of a row cross as one. The columns
 * themselves come behind the packed one: a row in which a cell holds one of the marks is read from there.
 */
export function packed(expressions: readonly string[]): readonly string[] {
  if (expressions.length < 2) return expressions;
  const marked = expressions.map((expression) => `coalesce(${expression}, chr(31))`);
  return [`concat_ws(chr(30), ${marked.join(', ')})`, ...expressions];
}

/** The cells of `count` packed columns, the first of which is column `first` of the chunk. */
export function unpacked(
  chunk: DuckDBDataChunk,
  first: number,
  count: number,
): readonly (readonly (string | null)[])[] {
  if (count < 2) return count === 0 ? [] : [chunk.getColumnValues(first).map(textOrNull)];
  const vectors = Array.from({ length: count }, (_, place) => chunk.getColumnVector(first + 1 + place));
  const cells = vectors.map(() => new Array<string | null>(chunk.rowCount));
  for (const [row, text] of chunk.getColumnValues(first).entries()) {
    const parts = String(text).split(SEPARATOR);
    const whole = parts.length === count;
    for (let place = 0; place < count; place += 1) {
      const part = whole ? parts[place] : NULL_MARK;
      const cell = part === undefined || part === NULL_MARK ? textOrNull(vectors[place]?.getItem(row)) : part;
      (cells[place] ?? [])[row] = cell;
    }
  }
  return cells;
}

/** Text columns come as text; nothing else is asked for here. */
const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);
