import { LIMITS, type Cell, type StreamPayloadSpec } from '@tributary/proto';

import { compilePath, setOwn, template, type PathReader } from '../data-path.js';
import { fault, isFault, type Fault } from '../fault.js';
import { instant } from '../instant.js';
import type { Captures } from '../topic-matching.js';
import { cellFrom } from './cells.js';
import { decodeCbor } from './cbor.js';
import { compileTime } from './message-time.js';
import type { Extract as Extracted, PayloadReader, StreamMessage } from './message.js';

type StructuredSpec = Extract<StreamPayloadSpec, { type: 'Json' | 'Cbor' }>;
type Columns = Record<string, readonly Cell[]>;

/** Reads JSON (RFC 8259) and CBOR (RFC 8949): an object is a record, or samples where the rate is given; a list holds several. */
export function structuredReader(spec: StructuredSpec): PayloadReader {
  const readTime = compileTime(spec.time);
  const readId = spec.id === undefined ? () => undefined : compilePath(spec.id);
  const columns = compileColumns(spec.columns);
  const { rateHz } = spec;

  function extract(message: StreamMessage, captures: Captures, value: unknown): Extracted | Fault {
    const time = readTime(message, captures, value);
    if (isFault(time)) return time;
    const shape =
      rateHz === undefined ? record(columns, value) : samples(readColumns(columns, value), rateHz);
    if (isFault(shape)) return shape;
    const startMs = time ?? instant(message.arrivalMs - shape.count * shape.periodMs);
    return { ...shape, startMs, id: idText(readId(value)), arrived: time === undefined };
  }

  return (message, captures) => {
    const decoded = spec.type === 'Json' ? parseJson(message.payload) : decodeCbor(message.payload);
    if (decoded === undefined) return fault('NotCbor');
    if (isFault(decoded)) return decoded;
    const values: readonly unknown[] = Array.isArray(decoded.value) ? decoded.value : [decoded.value];
    if (values.length > LIMITS.streamPoints) return fault('TooManyPoints');
    const extracts: Extracted[] = [];
    for (const value of values) {
      if (typeof value !== 'object' || value === null) return fault('NotAnObject');
      const extracted = extract(message, captures, value);
      // One record that cannot be read spoils its message: half of it would be answered, and half kept as dead.
      if (isFault(extracted)) return extracted;
      extracts.push(extracted);
    }
    return extracts;
  };
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true });

/** JSON from bytes; a byte order mark is skipped. */
export function parseJson(bytes: Uint8Array): { readonly value: unknown } | Fault {
  let text: string;
  try {
    text = UTF_8.decode(bytes);
  } catch {
    return fault('NotText');
  }
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return fault('NotJson');
  }
}

export interface CompiledColumns {
  readonly readers: readonly (readonly [string, PathReader])[];
  readonly empty: Readonly<Record<string, null>>;
}

export function compileColumns(columns: Readonly<Record<string, string>>): CompiledColumns {
  const readers = Object.entries(columns).map(([name, path]) => [name, compilePath(path)] as const);
  return { readers, empty: template(Object.keys(columns)) };
}

/** One cell of each column; NoColumns where none of them is there. */
export function readColumns(
  columns: CompiledColumns,
  value: unknown,
): Readonly<Record<string, Cell>> | Fault {
  return collect(columns, value, (cell) => cell);
}

function collect<T>(
  { readers, empty }: CompiledColumns,
  value: unknown,
  made: (cell: Cell) => T,
): Record<string, T> | Fault {
  // Every member of the copy is replaced below.
  const all: Record<string, T | null> = { ...empty };
  let found = false;
  for (const [name, read] of readers) {
    const there = read(value);
    // What is not there stays undefined: it is another thing than null, which says that a value is missing.
    const cell = there === undefined ? undefined : cellFrom(there);
    if (there !== undefined && cell === undefined) return fault('UnusableCell', name);
    found ||= there !== undefined;
    setOwn(all, name, made(cell));
  }
  return found ? (all as Record<string, T>) : fault('NoColumns');
}

/** Ids are texts or whole numbers; anything else is none. */
export function idText(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  return typeof value === 'string' && value.length <= LIMITS.streamTextBytes && value.isWellFormed()
    ? value
    : undefined;
}

interface Shape {
  readonly periodMs: number;
  readonly count: number;
  readonly columns: Columns;
}

const alone = (cell: Cell): readonly Cell[] => [cell];

function record(paths: CompiledColumns, value: unknown): Shape | Fault {
  const columns = collect(paths, value, alone);
  return isFault(columns) ? columns : { periodMs: 0, count: 1, columns };
}

function samples(cells: Readonly<Record<string, Cell>> | Fault, rateHz: number): Shape | Fault {
  if (isFault(cells)) return cells;
  const columns: Columns = {};
  let count: number | undefined;
  for (const [name, cell] of Object.entries(cells)) {
    if (!isNumbers(cell)) return fault('UnusableCell', name);
    count ??= cell.length;
    if (cell.length === 0 || cell.length !== count) return fault('UnequalLists', name);
    columns[name] = cell;
  }
  return { periodMs: 1_000 / rateHz, count: count ?? 0, columns };
}

const isNumbers = (cell: Cell): cell is readonly (number | null)[] => Array.isArray(cell);
