import { DuckDBTypeId, type DuckDBListValue, type DuckDBType, type DuckDBValue } from '@duckdb/node-api';
import type { Cell } from '@tributary/proto';

import { sqlName } from './sql-text.js';

/** What a column holds for jobs; Nested: nothing that a job could read. */
export type ColumnKind = 'Text' | 'Number' | 'Integer' | 'Numbers' | 'Nested';

/** A column of a source or view. */
export interface Column {
  /** As the header or the view names it. */
  readonly name: string;
  /** As the database names it. */
  readonly sqlName: string;
  readonly kind: ColumnKind;
  /** DuckDB's name of the type, for people; `text` in CSV. */
  readonly type: string;
  /** Gives the column in the form that {@link cellReader} takes. */
  readonly expression: string;
}

const NUMBERS: ReadonlySet<DuckDBTypeId> = new Set([
  DuckDBTypeId.TINYINT,
  DuckDBTypeId.SMALLINT,
  DuckDBTypeId.INTEGER,
  DuckDBTypeId.UTINYINT,
  DuckDBTypeId.USMALLINT,
  DuckDBTypeId.UINTEGER,
  DuckDBTypeId.FLOAT,
  DuckDBTypeId.DOUBLE,
  DuckDBTypeId.DECIMAL,
]);

/** Beyond 2^53 a double holds them no more. */
const INTEGERS: ReadonlySet<DuckDBTypeId> = new Set([
  DuckDBTypeId.BIGINT,
  DuckDBTypeId.UBIGINT,
  DuckDBTypeId.HUGEINT,
  DuckDBTypeId.UHUGEINT,
]);

const TEXTS: ReadonlySet<DuckDBTypeId> = new Set([
  DuckDBTypeId.VARCHAR,
  DuckDBTypeId.BOOLEAN,
  DuckDBTypeId.DATE,
  DuckDBTypeId.TIME,
  DuckDBTypeId.TIMESTAMP,
  DuckDBTypeId.TIMESTAMP_S,
  DuckDBTypeId.TIMESTAMP_MS,
  DuckDBTypeId.TIMESTAMP_NS,
  DuckDBTypeId.TIMESTAMP_TZ,
  DuckDBTypeId.ENUM,
  DuckDBTypeId.UUID,
  DuckDBTypeId.SQLNULL,
]);

export function columnOf(name: string, columnName: string, type: DuckDBType): Column {
  const kind = kindOf(type);
  const parts = { name, sqlName: columnName, kind, type: type.toString() };
  return { ...parts, expression: expressionOf(kind, type, sqlName(columnName)) };
}

function kindOf(type: DuckDBType): ColumnKind {
  const { typeId } = type;
  if (NUMBERS.has(typeId)) return 'Number';
  if (INTEGERS.has(typeId)) return 'Integer';
  if (TEXTS.has(typeId)) return 'Text';
  const element = elementOf(type);
  return element !== undefined && (NUMBERS.has(element.typeId) || INTEGERS.has(element.typeId))
    ? 'Numbers'
    : 'Nested';
}

function elementOf(type: DuckDBType): DuckDBType | undefined {
  if (type.typeId !== DuckDBTypeId.LIST && type.typeId !== DuckDBTypeId.ARRAY) return undefined;
  return 'valueType' in type ? type.valueType : undefined;
}

/** ISO 8601 separates day and time by T and writes UTC as Z; the time zone of the database is UTC. */
function expressionOf(kind: ColumnKind, { typeId }: DuckDBType, name: string): string {
  if (kind === 'Number') return `CAST(${name} AS DOUBLE)`;
  if (kind === 'Numbers') return `CAST(${name} AS DOUBLE[])`;
  const text = `CAST(${name} AS VARCHAR)`;
  if (typeId === DuckDBTypeId.TIMESTAMP_TZ) return `replace(replace(${text}, ' ', 'T'), '+00', 'Z')`;
  return TIMESTAMPS.has(typeId) ? `replace(${text}, ' ', 'T')` : text;
}

const TIMESTAMPS: ReadonlySet<DuckDBTypeId> = new Set([
  DuckDBTypeId.TIMESTAMP,
  DuckDBTypeId.TIMESTAMP_S,
  DuckDBTypeId.TIMESTAMP_MS,
  DuckDBTypeId.TIMESTAMP_NS,
]);

/** How values of a column become cells. */
export function cellReader(kind: ColumnKind): (value: DuckDBValue) => Cell {
  switch (kind) {
    case 'Text':
      return (value) => (value === null ? null : String(value));
    case 'Number':
      return (value) => (value === null ? null : Number(value));
    case 'Integer':
      return (value) => {
        if (value === null) return null;
        const number = Number(value);
        return Number.isSafeInteger(number) ? number : String(value);
      };
    case 'Numbers':
      return (value) =>
        value === null
          ? null
          : (value as DuckDBListValue).items.map((item) => (item === null ? null : Number(item)));
    case 'Nested':
      return () => null;
  }
}
