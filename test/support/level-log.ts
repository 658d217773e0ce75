import { LevelFields, levelRecords } from '@tributary/edge-agent/internal/adapters/store/level-records.js';

/*
 * The write-ahead log of a LevelDB database (doc/log_format.md and write_batch.cc there): all that was put since the
 * database was opened, what was deleted since then too. Written for tests that look at what a process once held.
 */

const BATCH_HEADER_BYTES = 12;
const OPERATION = { delete: 0, put: 1 } as const;

export interface LoggedPut {
  readonly key: string;
  readonly value: Buffer;
}

/** Every value that a log holds, in order; a torn end is left out. */
export function loggedPuts(log: Buffer): LoggedPut[] {
  return levelRecords(log).flatMap(putsOf);
}

function putsOf(batch: Buffer): LoggedPut[] {
  const puts: LoggedPut[] = [];
  const reader = new LevelFields(batch, BATCH_HEADER_BYTES);
  while (!reader.ended) {
    const operation = reader.byte();
    const key = reader.bytes().toString();
    if (operation === OPERATION.put) puts.push({ key, value: reader.bytes() });
    else if (operation !== OPERATION.delete) throw new Error('not a batch of LevelDB');
  }
  return puts;
}
