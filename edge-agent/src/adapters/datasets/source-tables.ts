import { LIMITS, TributaryError } from '@tributary/proto';

import type { CsvSource, FhirSource, SourceDeclaration } from '../../domain/datasets/declaration.js';
import { scanCsv } from './csv-scan.js';
import type { DuckDbSession } from './duckdb-session.js';
import { sqlList, sqlName, sqlText } from './sql-text.js';
import { columnOf, type Column } from './typed-columns.js';

/** A source with its files. */
export interface LocatedSource {
  readonly source: SourceDeclaration;
  readonly files: readonly string[];
}

/** A table or view of the database, with its columns in order. */
export interface Relation {
  readonly sqlName: string;
  readonly columns: readonly Column[];
}

/** Makes a source a table of the site's SQL, under its name. */
export async function createSource(session: DuckDbSession, located: LocatedSource): Promise<Relation> {
  const { source, files } = located;
  if (source.format !== 'Csv') {
    const reading = await typedReading(session, located);
    await session.run(`CREATE VIEW ${sqlName(source.name)} AS ${reading}`);
    return describe(session, source.name);
  }
  const header = await headerOf(source, files);
  await session.run(`CREATE VIEW ${sqlName(source.name)} AS ${csvReading(source, files, header)}`);
  return {
    sqlName: source.name,
    columns: header.map(({ name, sqlName: column }) => ({
      name,
      sqlName: column,
      kind: 'Text',
      type: 'text',
      // A job tells missing cells by their text, as the file has it: empty.
      expression: `coalesce(${sqlName(column)}, '')`,
    })),
  };
}

/** Columns of a table or view. */
export async function describe(session: DuckDbSession, name: string): Promise<Relation> {
  const result = await session.stream(`SELECT * FROM ${sqlName(name)} LIMIT 0`);
  const types = result.columnTypes();
  const columns = result.columnNames().flatMap((column, index) => {
    const type = types[index];
    return type === undefined ? [] : [columnOf(column, column, type)];
  });
  if (columns.length > LIMITS.datasetColumns) throw tooManyColumns();
  return { sqlName: name, columns };
}

/** What a database says a table's columns are, so that files are looked through for their types only once. */
async function typedReading(session: DuckDbSession, { source, files }: LocatedSource): Promise<string> {
  const list = sqlList(files);
  switch (source.format) {
    case 'Csv':
      throw new TributaryError('INTERNAL', 'CSV has no types');
    case 'Parquet':
      return `SELECT * FROM read_parquet(${list})`;
    case 'FhirNdJson':
      return fhirReading(source, list);
    case 'Json':
    case 'NdJson': {
      const format = source.format === 'Json' ? 'auto' : 'newline_delimited';
      const result = await session.stream(
        `SELECT * FROM read_json(${list}, format = '${format}', sample_size = -1, union_by_name = true) LIMIT 0`,
      );
      const types = result.columnTypes();
      const columns = result
        .columnNames()
        .map((name, index) => `${sqlText(name)}: ${sqlText(String(types[index]))}`);
      if (columns.length > LIMITS.datasetColumns) throw tooManyColumns();
      return `SELECT * FROM read_json(${list}, format = '${format}', columns = {${columns.join(', ')}})`;
    }
  }
}

function fhirReading({ resourceType, columns }: FhirSource, list: string): string {
  const wanted = columns?.map(({ name, path }) => `json ->> ${sqlText(path)} AS ${sqlName(name)}`) ?? [
    "json ->> '$.id' AS id",
    "json ->> '$.resourceType' AS resource_type",
    'json AS resource',
  ];
  const only =
    resourceType === undefined ? '' : ` WHERE json ->> '$.resourceType' = ${sqlText(resourceType)}`;
  return `SELECT ${wanted.join(', ')} FROM read_ndjson_objects(${list})${only}`;
}

interface HeaderColumn {
  readonly name: string;
  readonly sqlName: string;
}

/** Every cell is text; empty ones are NULL, so that the site's SQL can cast the others. Nothing is guessed. */
function csvReading(source: CsvSource, files: readonly string[], header: readonly HeaderColumn[]): string {
  const columns = header.map(({ sqlName: column }) => `${sqlText(column)}: 'VARCHAR'`);
  const options = [
    'header = true',
    'auto_detect = false',
    'strict_mode = true',
    `delim = ${sqlText(source.delimiter)}`,
    `quote = ${sqlText(source.quote)}`,
    `escape = ${sqlText(source.quote)}`,
    `encoding = ${source.encoding === 'Latin1' ? "'latin-1'" : "'utf-8'"}`,
    `max_line_size = ${String(LIMITS.csvRecordBytes)}`,
    `columns = {${columns.join(', ')}}`,
  ];
  return `SELECT * FROM read_csv(${sqlList(files)}, ${options.join(', ')})`;
}

/** The columns that the first line of every file names; names that the database cannot tell apart are numbered. */
async function headerOf(source: CsvSource, files: readonly string[]): Promise<readonly HeaderColumn[]> {
  let first: readonly string[] | undefined;
  for (const file of files) {
    const cells = await firstLine(file, source);
    first ??= cells;
    if (cells.length !== first.length || cells.some((cell, index) => cell !== first?.[index])) {
      throw new TributaryError(
        'DATASET_INVALID',
        'the first lines of the files do not name the same columns',
        {
          fields: { fault: 'HeaderDiffers' },
        },
      );
    }
  }
  const taken = new Set<string>();
  return (first ?? []).map((name, index) => {
    const plain = name === '' ? `column${String(index + 1)}` : name;
    let unique = plain;
    for (let number = 1; taken.has(unique.toLowerCase()); number += 1) unique = `${plain}_${String(number)}`;
    taken.add(unique.toLowerCase());
    return { name, sqlName: unique };
  });
}

async function firstLine(file: string, source: CsvSource): Promise<readonly string[]> {
  for await (const { cells } of scanCsv(file, source)) {
    if (cells.length > LIMITS.datasetColumns) throw tooManyColumns();
    return cells;
  }
  throw new TributaryError('DATASET_INVALID', 'the file is empty; its first line names the columns', {
    fields: { fault: 'Empty' },
  });
}

const tooManyColumns = (): TributaryError =>
  new TributaryError('LIMIT_EXCEEDED', `a dataset has at most ${String(LIMITS.datasetColumns)} columns`);
