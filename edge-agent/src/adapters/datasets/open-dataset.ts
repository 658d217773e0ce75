import { createHmac } from 'node:crypto';

import { TributaryError, type CellFault, type Row } from '@tributary/proto';

import { CombinationCounts } from '../../domain/deidentification/anonymity.js';
import { compileDeidentification } from '../../domain/deidentification/deidentifier.js';
import { jobColumns, type ColumnUse } from '../../domain/datasets/job-columns.js';
import { keepsOrder } from '../../domain/datasets/plain-select.js';
import { isTestKey, isTestRow } from '../../domain/datasets/split.js';
import type { DatasetHandle } from '../../ports.js';
import { csvFault, csvPlace } from './csv-places.js';
import { badCell, readerFault, type Place } from './dataset-faults.js';
import { DuckDbSession } from './duckdb-session.js';
import { checkFile } from './file-checks.js';
import { readRows, type Reading } from './row-stream.js';
import { filesOf } from './source-files.js';
import { createSource, describe, type LocatedSource, type Relation } from './source-tables.js';
import { sqlName } from './sql-text.js';
import type { Column } from './typed-columns.js';

/** One de-identified row. */
export interface DatasetRow {
  /** Cells by column; reused for the next row, so valid until then. */
  readonly row: Row;
  /** True where it belongs to the test split; false where there is no job. */
  readonly test: boolean;
  /** Number of the row among all rows of the dataset, from 0; rows that the policy suppresses leave gaps. */
  readonly index: number;
}

/** A dataset that is being read. Everything rejects with DATASET_* and LIMIT_EXCEEDED, never with content. */
export interface OpenDataset {
  /** Columns that a job may read, in order. */
  readonly columns: readonly Column[];
  /** Columns that each row carries: those of the job, or all that a job may read. */
  readonly carried: readonly string[];
  /** Each call reads the files anew, in the same order. */
  rows(): AsyncIterable<DatasetRow>;
  /** The error of a cell of row `index`: it finds the line of a CSV file. */
  faultAt(index: number, column: string, fault: CellFault): Promise<TributaryError>;
  /** Rows that k-anonymity leaves out, or would; 0 where the policy asks for none. */
  rareRows(): Promise<number>;
  close(): Promise<void>;
}

/** The table of the site's view. */
const VIEW = 'tributary_view';

/**
 * Opens a dataset for a job, or, without one, for a look at all its columns. The one way to the rows of a site: they
 * come de-identified by the terms of the policy, and split. Rejects where a column of the job is not there, and with what
 * `poll`, called now and then while the database works, throws.
 */
export async function openDataset(
  handle: DatasetHandle,
  job: ColumnUse | undefined,
  poll: () => void = () => undefined,
): Promise<OpenDataset> {
  const { sources, view } = handle.declaration;
  const located: LocatedSource[] = [];
  for (const source of sources) located.push({ source, files: await filesOf(source) });
  for (const { source, files } of located) for (const file of files) await checkFile(file, source, poll);
  const files = located.flatMap((one) => one.files);
  const session = await DuckDbSession.open(files, handle.scratchDir, poll);
  const named = async (error: unknown): Promise<TributaryError> =>
    session.stopped === undefined ? explain(error, located, view) : TributaryError.from(session.stopped);
  try {
    const tables: Relation[] = [];
    for (const one of located) tables.push(await createSource(session, one).catch(notTheView(one)));
    const [only] = tables;
    if (only === undefined) throw new TributaryError('INTERNAL', 'a dataset without sources');
    const table = view === undefined ? { relation: only, ordered: true } : await createView(session, view);
    return new Reader({ handle, job, session, located, table, named });
  } catch (error) {
    await session.close();
    throw await named(error);
  }
}

interface Table {
  readonly relation: Relation;
  /** Whether rows come in the order of the files. */
  readonly ordered: boolean;
}

interface ReaderParts {
  readonly handle: DatasetHandle;
  readonly job: ColumnUse | undefined;
  readonly session: DuckDbSession;
  readonly located: readonly LocatedSource[];
  readonly table: Table;
  /** Turns what went wrong into our own words. */
  readonly named: (error: unknown) => Promise<TributaryError>;
}

class Reader implements OpenDataset {
  readonly columns: readonly Column[];
  readonly carried: readonly string[];
  readonly #parts: ReaderParts;
  readonly #reading: Reading;
  #counts: Promise<CombinationCounts> | undefined;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
    const { handle, job, table } = parts;
    const { dropped, rules } = compileDeidentification(handle.deidentification);
    const all = table.relation.columns;
    requireProtected(handle.deidentification, all);
    this.columns = all.filter(({ name, kind }) => !dropped.has(name) && kind !== 'Nested');
    this.carried = job === undefined ? [...new Set(this.columns.map(({ name }) => name))] : jobColumns(job);
    const { key } = handle.declaration;
    const quasi = handle.deidentification.kAnonymity?.quasiIdentifiers ?? [];
    const find = (name: string): Column => this.#find(name);
    const cells = [...new Set([...this.carried, ...quasi])].map((name) => ({
      column: (job === undefined ? this.columns.find((one) => one.name === name) : undefined) ?? find(name),
      rule: rules.get(name),
    }));
    this.#reading = {
      relation: sqlName(table.relation.sqlName),
      ordered: table.ordered,
      cells,
      key: key === undefined ? undefined : keyColumn(all, key),
    };
  }

  async *rows(): AsyncGenerator<DatasetRow, void, undefined> {
    const { handle } = this.#parts;
    const { kAnonymity } = handle.deidentification;
    const counts = kAnonymity === undefined ? undefined : await this.#combinations();
    if (kAnonymity?.action === 'Refuse' && (counts?.rareRows(kAnonymity.k) ?? 0) > 0)
      throw standOut(kAnonymity.k);
    for await (const { row, key, index } of this.#read()) {
      if (kAnonymity !== undefined && counts?.isRare(row, kAnonymity.k) === true) continue;
      yield { row, index, test: this.#isTest(index, key ?? undefined) };
    }
  }

  async faultAt(index: number, column: string, fault: CellFault): Promise<TributaryError> {
    return badCell(await this.#placeOf(index), column, fault);
  }

  async rareRows(): Promise<number> {
    const { kAnonymity } = this.#parts.handle.deidentification;
    return kAnonymity === undefined ? 0 : (await this.#combinations()).rareRows(kAnonymity.k);
  }

  close(): Promise<void> {
    return this.#parts.session.close();
  }

  /** Every row, made coarser by the rules of the policy. */
  async *#read() {
    try {
      for await (const read of readRows(this.#parts.session, this.#reading)) {
        if (read.problem !== undefined)
          throw await this.faultAt(read.index, read.problem.column, read.problem.fault);
        if (read.key === null)
          throw new TributaryError('DATASET_INVALID', `row ${String(read.index + 1)}: the key is missing`, {
            fields: { row: read.index + 1, fault: 'KeyMissing' },
          });
        yield read;
      }
    } catch (error) {
      throw await this.#parts.named(error);
    }
  }

  #combinations(): Promise<CombinationCounts> {
    this.#counts ??= this.#count();
    return this.#counts;
  }

  async #count(): Promise<CombinationCounts> {
    const counts = new CombinationCounts(
      this.#parts.handle.deidentification.kAnonymity?.quasiIdentifiers ?? [],
    );
    for await (const { row } of this.#read()) counts.add(row);
    return counts;
  }

  #isTest(index: number, key: string | undefined): boolean {
    const { job, handle } = this.#parts;
    if (job === undefined) return false;
    if (key === undefined) return isTestRow(job.dataset, index);
    // Salted: whoever knows somebody's key must not be able to choose a seed that tells that one apart.
    return isTestKey(job.dataset, createHmac('sha256', handle.versionKey).update(`key:${key}`).digest('hex'));
  }

  async #placeOf(index: number): Promise<Place> {
    const [{ source, files } = { source: undefined, files: [] }] = this.#parts.located;
    const { view } = this.#parts.handle.declaration;
    const line =
      view === undefined && source?.format === 'Csv' ? await csvPlace(source, files, index) : undefined;
    return line ?? { row: index + 1 };
  }

  /** Names from the job may be told; those of the file may not. */
  #find(name: string): Column {
    const found = this.columns.filter((column) => column.name === name);
    const [column] = found;
    if (column !== undefined && found.length === 1) return column;
    const { view, sources } = this.#parts.handle.declaration;
    const inCsv = view === undefined && sources[0]?.format === 'Csv';
    const where = inCsv ? 'in the first line' : 'among the columns of the dataset';
    const [fault, problem] =
      column === undefined
        ? [
            inCsv ? 'NoColumn' : 'NoSuchColumn',
            `is not ${where}${inCsv ? ', which must name the columns' : ''}`,
          ]
        : ['ColumnTwice', `is named more than once ${where}`];
    throw new TributaryError('DATASET_INVALID', `column ${JSON.stringify(name)} ${problem}`, {
      fields: { ...(inCsv ? { line: 1 } : {}), column: name, fault },
    });
  }
}

/** The site's SQL as a table. Its rows are sorted where their order would otherwise be left to chance. */
async function createView(session: DuckDbSession, view: string): Promise<Table> {
  const tree = await session.selectTree(view);
  if (tree === undefined)
    throw new TributaryError('DATASET_INVALID', 'the view is not one valid SELECT and nothing else', {
      fields: { fault: 'View' },
    });
  await session.run(`CREATE VIEW ${VIEW} AS ${view.trim().replace(/;\s*$/, '')}`);
  return { relation: await describe(session, VIEW), ordered: keepsOrder(tree) };
}

/**
 * A rule for a column that is not there protects nothing: the policy and the dataset write its name in two ways. What
 * is to be dropped may be gone already, but not stand there in other letters.
 */
function requireProtected(
  { drop, mask, generalise }: DatasetHandle['deidentification'],
  columns: readonly Column[],
): void {
  const exact = new Set(columns.map(({ name }) => name));
  const alike = new Set(columns.map(({ name }) => foldedName(name)));
  const changed = [...mask, ...generalise.map(({ column }) => column)];
  const idle =
    changed.find((name) => !exact.has(name)) ??
    drop.find((name) => !exact.has(name) && alike.has(foldedName(name)));
  if (idle === undefined) return;
  throw new TributaryError(
    'DATASET_INVALID',
    `the policy de-identifies ${JSON.stringify(idle)}, which is not a column of the dataset`,
    {
      fields: { fault: 'Unprotected' },
      hint: 'write spec.datasets[].deidentification in the policy as the dataset writes its columns',
    },
  );
}

const foldedName = (name: string): string => name.normalize('NFKC').trim().toLowerCase();

function keyColumn(columns: readonly Column[], key: string): Column {
  const column = columns.find(({ name }) => name === key);
  if (column !== undefined) return column;
  throw new TributaryError(
    'DATASET_INVALID',
    `the key ${JSON.stringify(key)} is not a column of the dataset`,
    {
      fields: { fault: 'KeyMissing' },
    },
  );
}

const standOut = (k: number): TributaryError =>
  new TributaryError(
    'POLICY_REFUSED',
    `spec.datasets.deidentification.kAnonymity: a combination of quasi-identifiers has fewer than ${String(k)} rows`,
    { hint: 'generalise them further, or set action: Suppress' },
  );

/** Where CSV is at fault, the scan knows the line and the words; else what kind of error it is. */
async function explain(
  error: unknown,
  located: readonly LocatedSource[],
  view: string | undefined,
): Promise<TributaryError> {
  if (error instanceof TributaryError)
    return error.fields['fault'] === 'View' ? aboutTables(error, located) : error;
  const fault = readerFault(error, located[0]?.source.format ?? '', view);
  if (fault.fields['fault'] === 'View') return aboutTables(fault, located);
  if (fault.fields['fault'] !== 'Format') return fault;
  for (const { source, files } of located) {
    const found = source.format === 'Csv' ? await csvFault(source, files) : undefined;
    if (found !== undefined) return found;
  }
  return fault;
}

/** A file of another format can make the statements that read it invalid: the site's SQL is not at fault. */
function notTheView({ source: { format } }: LocatedSource): (error: unknown) => never {
  return (error) => {
    if (error instanceof TributaryError || readerFault(error, format, undefined).fields['fault'] !== 'View')
      throw error;
    throw new TributaryError('DATASET_INVALID', `the file cannot be read as ${format}`, {
      fields: { fault: 'Format' },
      hint: 'check the format in the configuration of the agent',
    });
  };
}

/** With what a site needs to mend its view; a hint is for its own people and stays there. */
function aboutTables(fault: TributaryError, located: readonly LocatedSource[]): TributaryError {
  const tables = located.map(({ source }) => source.name).join(', ');
  return new TributaryError(fault.code, fault.message, {
    fields: fault.fields,
    hint: `the tables of the view are ${tables}; CSV cells are text; names with dots and words of SQL stand in double quotes`,
  });
}
