/** A value of a row: CSV gives texts, streams give numbers and null as well. */
export type Cell = string | number | null | undefined;

/** One row by column name. Only own properties count. */
export type Row = Readonly<Record<string, Cell>>;

/** Why a cell could not be used. Never the cell itself: rows do not leave the site, not even in errors. */
export type CellFault = 'Missing' | 'NotANumber' | 'NotFinite' | 'OutsideDomain' | 'UnknownClass';

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
  const text = String(cell).trim();
  return missing.has(text) ? undefined : text;
}

/** The finite number that a text writes, or why it writes none. */
export function readNumber(text: string): number | CellFault {
  if (text === 'Infinity' || text === '-Infinity') return 'NotFinite';
  if (!DECIMAL.test(text)) return 'NotANumber';
  const value = Number(text);
  return Number.isFinite(value) ? value : 'NotFinite';
}
