/*
 * The write-ahead log of a LevelDB database (doc/log_format.md and write_batch.cc there): all that was put since the
 * database was opened, what was deleted since then too. Written for tests that look at what a process once held.
 */

const BLOCK_BYTES = 32_768;
const RECORD_HEADER_BYTES = 7;
const BATCH_HEADER_BYTES = 12;
const KIND = { full: 1, first: 2, middle: 3, last: 4 } as const;
const OPERATION = { delete: 0, put: 1 } as const;

export interface LoggedPut {
  readonly key: string;
  readonly value: Buffer;
}

/** Every value that a log holds, in order; a torn end is left out. */
export function loggedPuts(log: Buffer): LoggedPut[] {
  return batchesOf(log).flatMap(putsOf);
}

function batchesOf(log: Buffer): Buffer[] {
  const batches: Buffer[] = [];
  let parts: Buffer[] = [];
  for (let at = 0; at + RECORD_HEADER_BYTES <= log.length;) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < RECORD_HEADER_BYTES) {
      at += left;
      continue;
    }
    const kind = log[at + 6];
    const end = at + RECORD_HEADER_BYTES + log.readUInt16LE(at + 4);
    if (kind === 0 || end > log.length) break;
    if (kind === KIND.full || kind === KIND.first) parts = [];
    parts.push(log.subarray(at + RECORD_HEADER_BYTES, end));
    if (kind === KIND.full || kind === KIND.last) batches.push(Buffer.concat(parts));
    at = end;
  }
  return batches;
}

function putsOf(batch: Buffer): LoggedPut[] {
  const puts: LoggedPut[] = [];
  const reader = new BatchReader(batch, BATCH_HEADER_BYTES);
  while (!reader.ended) {
    const operation = reader.byte();
    const key = reader.bytes().toString();
    if (operation === OPERATION.put) puts.push({ key, value: reader.bytes() });
    else if (operation !== OPERATION.delete) throw new Error('not a batch of LevelDB');
  }
  return puts;
}

class BatchReader {
  readonly #batch: Buffer;
  #at: number;

  constructor(batch: Buffer, at: number) {
    this.#batch = batch;
    this.#at = at;
  }

  get ended(): boolean {
    return this.#at >= this.#batch.length;
  }

  byte(): number {
    return this.#batch.readUInt8(this.#at++);
  }

  bytes(): Buffer {
    let length = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      length += (byte & 127) * factor;
      if (byte < 128) break;
    }
    this.#at += length;
    return this.#batch.subarray(this.#at - length, this.#at);
  }
}
