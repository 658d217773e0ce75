import { LIMITS, TributaryError, type CellFault, type ErrorCode } from '@tributary/proto';

/** Why a file cannot be opened or read, in our own words: those of the system name paths. */
export function unreadable(error: unknown): TributaryError {
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

const CELL_FAULTS: Readonly<Record<CellFault, string>> = {
  Missing: 'a label is missing',
  NotANumber: 'not a number',
  NotFinite: 'not a finite number',
  OutsideDomain: 'outside the domain of the transform',
  UnknownClass: 'not one of the classes of the task',
  NotADate: 'not a date, or not written to the day',
  NotAList: 'not a list of numbers',
};

/** Where a row stands: in its CSV file, else its number, from 1, among the rows of the dataset. */
export type Place = { readonly line: number; readonly file?: number } | { readonly row: number };

export function badCell(place: Place, column: string, fault: CellFault): TributaryError {
  const words = Object.entries(place).map(([what, number]) => `${what} ${String(number)}`);
  return new TributaryError(
    'DATASET_INVALID',
    `${words.reverse().join(', ')}, column ${JSON.stringify(column)}: ${CELL_FAULTS[fault]}`,
    { fields: { ...place, column, fault } },
  );
}

/** Kinds of DuckDB's errors, by how their text begins, with the fault as it is told outside and our words. */
const READER_FAULTS: readonly (readonly [kind: RegExp, code: ErrorCode, fault: string, words: string])[] = [
  [/^(Parser|Syntax) Error/, 'DATASET_INVALID', 'View', 'the view is not valid SQL'],
  [
    /^(Binder|Catalog) Error/,
    'DATASET_INVALID',
    'View',
    'the view names a table, column or function that does not exist, or mixes types',
  ],
  [/^Permission Error/, 'DATASET_INVALID', 'ViewForbidden', 'the view reaches beyond the declared sources'],
  [
    /^(Conversion|Mismatch Type|Out of Range) Error/,
    'DATASET_INVALID',
    'Conversion',
    'a value does not fit the type that the view casts it to; TRY_CAST makes it NULL',
  ],
  [
    /^Out of Memory Error/,
    'LIMIT_EXCEEDED',
    'Memory',
    `the view needs more than ${String(LIMITS.readerMemoryBytes)} bytes of memory and its files on disk; simplify it`,
  ],
];

/** Lines as DuckDB counts them in CSV and JSON; everything else in its texts may quote a record. */
const LINE =
  /^Invalid Input Error: (?:CSV Error on Line: (\d+)|Malformed JSON in file .*?, at byte \d+ in line (\d+)[:.])/;

/** Names that a text of DuckDB puts into quotes, told only where the site's own SQL holds them. */
const QUOTED = /"([^"\n]{1,128})"/g;

function nameIn(text: string, view = ''): string | undefined {
  const [first = ''] = text.split('\n');
  return [...first.matchAll(QUOTED)].map(([, name = '']) => name).find((name) => view.includes(name));
}

/** An error of DuckDB in our own words. `view` is the site's SQL. */
export function readerFault(error: unknown, format: string, view: string | undefined): TributaryError {
  if (error instanceof TributaryError) return error;
  const text = error instanceof Error ? error.message : '';
  for (const [kind, code, fault, words] of READER_FAULTS) {
    if (!kind.test(text)) continue;
    // Other kinds quote values; these quote the SQL.
    const named = fault === 'View' ? nameIn(text, view) : undefined;
    return new TributaryError(code, named === undefined ? words : `${words}: ${named}`, {
      fields: { fault },
    });
  }
  const found = LINE.exec(text);
  const line = Number(found?.[1] ?? found?.[2] ?? Number.NaN);
  return Number.isSafeInteger(line)
    ? new TributaryError('DATASET_INVALID', `line ${String(line)}: not ${format}`, {
        fields: { line, fault: 'Format' },
      })
    : new TributaryError('DATASET_INVALID', `the file cannot be read as ${format}`, {
        fields: { fault: 'Format' },
      });
}
