/*
 * The files that LevelDB appends to (doc/log_format.md there): blocks of 32 KiB, records that may span several, integers of
 * seven bits a byte.
 */

const BLOCK_BYTES = 32_768;
const HEADER_BYTES = 7;
const KIND = { full: 1, first: 2, middle: 3, last: 4 } as const;

/** Every whole record of a log, in order. What is torn is left out; checksums are the database's own business. */
export function levelRecords(log: Buffer): readonly Buffer[] {
  const records: Buffer[] = [];
  let parts: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= log.length;) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      at += left;
      continue;
    }
    const kind = log[at + 6];
    const end = at + HEADER_BYTES + log.readUInt16LE(at + 4);
    if (kind === 0 || end > log.length) break;
    if (kind === KIND.full || kind === KIND.first) parts = [];
    parts.push(log.subarray(at + HEADER_BYTES, end));
    if (kind === KIND.full || kind === KIND.last) records.push(Buffer.concat(parts));
    at = end;
  }
  return records;
}

/** Reads the fields of a record. Throws RangeError where it ends too early. */
export class LevelFields {
  readonly #record: Buffer;
  #at: number;

  constructor(record: Buffer, at = 0) {
    this.#record = record;
    this.#at = at;
  }

  get ended(): boolean {
    return this.#at >= this.#record.length;
  }

  byte(): number {
    return this.#record.readUInt8(this.#at++);
  }

  /** Exact up to 2^53. */
  integer(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  bytes(): Buffer {
    const length = this.integer();
    if (this.#at + length > this.#record.length) throw new RangeError('a field is longer than its record');
    this.#at += length;
    return this.#record.subarray(this.#at - length, this.#at);
  }
}
