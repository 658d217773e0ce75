import type { PublicRandom } from './public-random.js';

/** A row whose rest is shorter than this, of a length near 1 before, depends on the rows above it; it is drawn again. */
const SHORTEST = 1e-3;

/**
 * Fills `values`, a matrix of `rows` rows that are at least as long as there are rows, with orthonormal rows: random
 * ones in [-1, 1), each made orthogonal to those above it (Gram-Schmidt, modified and repeated once: Giraud, Langou and
 * Rozloznik, 2005) in float64.
 */
export function orthogonalRows(values: Float32Array, rows: number, random: PublicRandom): void {
  const columns = values.length / rows;
  const done: Float64Array[] = [];
  while (done.length < rows) {
    const row = Float64Array.from({ length: columns }, () => 2 * random.nextUnit() - 1);
    if (!normalise(row, 0)) continue;
    if (!removeAll(row, done) || !removeAll(row, done)) continue;
    values.set(row, done.length * columns);
    done.push(row);
  }
}

function removeAll(row: Float64Array, others: readonly Float64Array[]): boolean {
  for (const other of others) {
    const along = dot(row, other);
    for (let index = 0; index < row.length; index += 1)
      row[index] = (row[index] ?? 0) - along * (other[index] ?? 0);
  }
  return normalise(row, SHORTEST);
}

function normalise(row: Float64Array, shortest: number): boolean {
  const length = Math.sqrt(dot(row, row));
  if (length <= shortest) return false;
  for (let index = 0; index < row.length; index += 1) row[index] = (row[index] ?? 0) / length;
  return true;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index += 1) sum += (a[index] ?? 0) * (b[index] ?? 0);
  return sum;
}
