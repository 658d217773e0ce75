import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { TributaryError } from '@tributary/proto';

import { fileError } from '../files/file-error.js';
import { LevelFields, levelRecords } from './level-records.js';

const LAST_SEQUENCE = 4;

/** How the other fields of an edit are passed over, by tag (db/version_edit.cc of LevelDB). */
const SKIPPED: Readonly<Record<number, (fields: LevelFields) => void>> = {
  /** Comparator. */
  1: (fields) => fields.bytes(),
  /** Number of the log. */
  2: (fields) => fields.integer(),
  /** Number of the next file. */
  3: (fields) => fields.integer(),
  /** Where compactions go on. */
  5: (fields) => [fields.integer(), fields.bytes()],
  /** A table that is gone. */
  6: (fields) => [fields.integer(), fields.integer()],
  /** A table: level, number, size, first and last key. */
  7: (fields) => [fields.integer(), fields.integer(), fields.integer(), fields.bytes(), fields.bytes()],
  /** Number of the log before. */
  9: (fields) => fields.integer(),
};

/**
 * How many operations were ever written to a LevelDB database, by whichever build: it numbers all of them. To be asked right
 * after opening, which writes the number down. Rejects with STORE_CORRUPT where the list of tables cannot be read.
 */
export async function operationsOf(directory: string): Promise<number> {
  try {
    const name = (await readFile(join(directory, 'CURRENT'), 'utf8')).trim();
    const found = lastSequenceIn(await readFile(join(directory, name)));
    if (found !== undefined) return found;
  } catch (error) {
    if (!(error instanceof RangeError)) throw fileError(error, directory);
  }
  throw new TributaryError('STORE_CORRUPT', `${directory}: the list of its tables cannot be read`);
}

/** The newest sequence number that a manifest names. Throws RangeError for what is none. */
export function lastSequenceIn(manifest: Buffer): number | undefined {
  let found: number | undefined;
  for (const record of levelRecords(manifest)) {
    const fields = new LevelFields(record);
    while (!fields.ended) {
      const tag = fields.integer();
      if (tag === LAST_SEQUENCE) found = fields.integer();
      else if (SKIPPED[tag] === undefined) throw new RangeError(`no field ${String(tag)} is known`);
      else SKIPPED[tag](fields);
    }
  }
  return found;
}
