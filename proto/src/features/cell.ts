/** Elements of a list cell, such as the values of one patient over time. */
export type ListCell = readonly (number | null)[];

/** A value of a row: CSV gives texts, typed files and streams give numbers, lists of numbers and null as well. */
export type Cell = string | number | null | undefined | ListCell;

/** One row by column name. Only own properties count. */
export type Row = Readonly<Record<string, Cell>>;

/** Why a cell could not be used. Never the cell itself: rows do not leave the site, not even in errors. */
export type CellFault =
  'Missing' | 'NotANumber' | 'NotFinite' | 'OutsideDomain' | 'UnknownClass' | 'NotADate' | 'NotAList';

export interface CellIssue {
  readonly column: string;
  readonly reason: CellFault;
}

/** Decimal numbers as CSV files write them: no hexadecimal, no "Infinity", no separators of thousands. */
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** The cell of a column; undefined where the row has no such column. */
export function cellOf(row: Row, column: string): Cell {
  return Object.hasOwn(row, column) ? row[column] : undefined;
}

/** The text of a cell without outer spaces; undefined where it is absent or one of the markers. */
export function presentText(cell: Cell, missing: ReadonlySet<string>): string | undefined {
  if (cell === null || cell === undefined || Number.isNaN(cell)) return undefined;
  const text = (isList(cell) ? listText(cell) : String(cell)).trim();
  return missing.has(text) ? undefined : text;
}

/** The finite number that a text writes, or why it writes none. Zero has no sign: no way in may keep one. */
export function readNumber(text: string): number | CellFault {
  if (text === 'Infinity' || text === '-Infinity') return 'NotFinite';
  if (!DECIMAL.test(text)) return 'NotANumber';
  const value = Number(text);
  return Number.isFinite(value) ? value + 0 : 'NotFinite';
}

/**
 * The elements of a list cell, undefined where one is missing, or why it holds none. A text is a list as JSON and
 * DuckDB write it: `[1, 2.5, null]`.
 */
export function readList(
  cell: Exclude<Cell, null | undefined>,
  missing: ReadonlySet<string>,
): readonly (number | undefined)[] | CellFault {
  const parts: readonly (string | number | null)[] | undefined = isList(cell)
    ? cell
    : listParts(String(cell));
  if (parts === undefined) return 'NotAList';
  const elements: (number | undefined)[] = [];
  for (const part of parts) {
    const text = presentText(part, missing);
    const value = text === undefined || NULLS.has(text) ? undefined : readNumber(text);
    if (typeof value === 'string') return value;
    elements.push(value);
  }
  return elements;
}

/** How lists as text write a missing element. */
const NULLS: ReadonlySet<string> = new Set(['null', 'NULL']);

export function isList(cell: Cell): cell is ListCell {
  return Array.isArray(cell);
}

const listText = (cell: ListCell): string => `[${cell.map(String).join(', ')}]`;

function listParts(text: string): readonly string[] | undefined {
  const inner = /^\s*\[([^[\]]*)\]\s*$/.exec(text)?.[1];
  if (inner === undefined) return undefined;
  return inner.trim() === '' ? [] : inner.split(',');
}
