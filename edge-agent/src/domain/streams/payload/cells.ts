import { LIMITS, type Cell } from '@tributary/proto';

/**
 * A cell from plain data: texts, numbers, null, lists of numbers and null; truth values become 'true' and 'false', numbers
 * that are not finite null. Undefined where it is anything else, or longer than a cell may be.
 */
export function cellFrom(value: unknown): Exclude<Cell, undefined> | undefined {
  switch (typeof value) {
    case 'undefined':
      return null;
    case 'number':
      return finite(value);
    case 'string':
      return value.length <= LIMITS.streamTextBytes && value.isWellFormed() ? value : undefined;
    case 'boolean':
      return String(value);
    default:
      return value === null ? null : Array.isArray(value) ? numbersFrom(value) : undefined;
  }
}

/** A list of numbers and null; undefined where it holds anything else, or too many. */
export function numbersFrom(values: readonly unknown[]): (number | null)[] | undefined {
  if (values.length > LIMITS.streamPoints) return undefined;
  const numbers: (number | null)[] = [];
  for (const value of values) {
    if (typeof value !== 'number' && value !== null) return undefined;
    numbers.push(value === null ? null : finite(value));
  }
  return numbers;
}

/** Zero has no sign, as in the cells of datasets. */
export function finite(value: number): number | null {
  return Number.isFinite(value) ? value + 0 : null;
}
