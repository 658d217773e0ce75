import { hashIntegers } from './seeded-random.js';

/** The part of a job's dataset declaration that decides the split. */
export interface SplitDeclaration {
  /** Share of rows held back for the test split, in [0, 1). */
  readonly testFraction: number;
  /** A non-negative safe integer. */
  readonly splitSeed: number;
}

/**
 * True where the row belongs to the site's test split. `row` counts data rows of the dataset from 0. Row r is a test
 * row if `hashIntegers(splitSeed, r) < testFraction * 2^32`: each row is decided by itself, so that appended rows move
 * no other, every round and every process sees the same split, and nothing has to be stored. The share of test rows is
 * testFraction on average, not exactly.
 */
export function isTestRow({ testFraction, splitSeed }: SplitDeclaration, row: number): boolean {
  return hashIntegers(splitSeed, row) < testFraction * 2 ** 32;
}

/** As {@link isTestRow}, by the text of a key: rows with the same key are all test rows, or none is. */
export function isTestKey({ testFraction, splitSeed }: SplitDeclaration, key: string): boolean {
  let hash = hashIntegers(splitSeed, key.length);
  for (let place = 0; place < key.length; place += 1) hash = hashIntegers(hash, key.charCodeAt(place));
  return hash < testFraction * 2 ** 32;
}
