import { readFile, stat } from 'node:fs/promises';

import { LIMITS, TributaryError, type Cell, type Row } from '@tributary/proto';

import { fileError } from '../adapters/files/file-error.js';

/** The rows of a file: one JSON object, an array of them, or one a line. Errors name row and column, never a value. */
export async function readRows(path: string): Promise<readonly Row[]> {
  const text = await readText(path);
  const values = jsonOf(text) ?? linesOf(text, path);
  const rows = (Array.isArray(values) ? (values as readonly unknown[]) : [values]).map((value, index) =>
    rowOf(value, index + 1, path),
  );
  if (rows.length === 0) throw invalid(`${path}: there is no row`);
  return rows;
}

async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > LIMITS.predictionBodyBytes)
      throw new TributaryError(
        'LIMIT_EXCEEDED',
        `${path}: at most ${String(LIMITS.predictionBodyBytes)} bytes of rows; divide the file`,
      );
    return await readFile(path, 'utf8');
  } catch (error) {
    throw fileError(error, path);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function linesOf(text: string, path: string): readonly unknown[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line, index) => {
    const value = jsonOf(line);
    if (value === undefined) throw invalid(`${path}: row ${String(index + 1)} is not JSON`);
    return value;
  });
}

function rowOf(value: unknown, number: number, path: string): Row {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${path}: row ${String(number)} is not an object of columns`);
  return Object.fromEntries(
    Object.entries(value).map(([column, cell]) => {
      const read = cellFrom(cell);
      if (read !== undefined) return [column, read];
      throw invalid(
        `${path}: row ${String(number)}, column ${JSON.stringify(column)}: write a text, a number, null or a list of numbers`,
      );
    }),
  );
}

function cellFrom(value: unknown): Exclude<Cell, undefined> | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'boolean') return String(value);
  if (!Array.isArray(value)) return undefined;
  const items: readonly unknown[] = value;
  return items.every((item): item is number | null => item === null || typeof item === 'number')
    ? items
    : undefined;
}

const invalid = (message: string): TributaryError => new TributaryError('INVALID_ARGUMENT', message);
