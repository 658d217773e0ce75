import { printable } from '@tributary/proto';

/** A column of a table: its title and the cell of an object. */
export interface Column<T> {
  readonly title: string;
  readonly cell: (row: T) => string;
}

const GAP = 3;

/** Lines of a table as kubectl prints them: upper-case titles, columns as wide as their widest cell. */
export function tableLines<T>(columns: readonly Column<T>[], rows: readonly T[]): string[] {
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => printable(column.cell(row)))),
  ];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)));
  return cells.map((line) =>
    line
      .map((cell, index) => cell.padEnd((widths[index] ?? 0) + GAP))
      .join('')
      .trimEnd(),
  );
}
