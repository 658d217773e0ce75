import { open, type FileHandle } from 'node:fs/promises';

import { LIMITS, sha256, TributaryError } from '@tributary/proto';
import { FILE_MODE } from '@tributary/proto/node';

import { requireFormatVersion } from '../files/directory-format.js';

/** How far the ledger had come when it was last written, and the root of the tree then. */
export interface Mark {
  readonly size: number;
  /** 32 bytes. */
  readonly rootHash: Uint8Array;
}

const FORMAT_VERSION = 1;
const MAGIC = Buffer.from('TRIBMARK');
/** Slots lie in different disk sectors: a torn write spoils one of them at most. */
const SLOT_BYTES = 4_096;
const BODY_BYTES = 8 + 4 + 8 + 32;
const CHECKSUM_BYTES = 32;
/** Behind the two slots: builds before this one neither read nor write them. */
const COUNTS = {
  /** Entries of the newest snapshot. */
  snapshot: { magic: Buffer.from('TRIBSNAP'), at: 2 * SLOT_BYTES },
  /** How often sites' cosignatures were written. */
  cosignatures: { magic: Buffer.from('TRIBSIGN'), at: 3 * SLOT_BYTES },
} as const;
const COUNT_BYTES = 8 + 4 + 8;

export type Counted = keyof typeof COUNTS;

interface OpenedMark {
  readonly file: HighWaterMark;
  readonly mark: Mark | undefined;
  /** 0 where none was marked. */
  readonly counts: Readonly<Record<Counted, number>>;
}

/**
 * The largest acknowledged size of the ledger, and what else is counted, kept outside its database. LevelDB drops damaged
 * records of its log without a word when it opens; what is lost that way shows here. The mark is written after the entries
 * are durable: it may be behind the ledger and is never ahead of it. Of its two slots one is written without a sync while the
 * other is on the disk for good; in turn, with a sync between.
 */
export class HighWaterMark {
  readonly #file: FileHandle;
  #next: 0 | 1;
  #unsynced = 0;
  #closed = false;

  private constructor(file: FileHandle, next: 0 | 1) {
    this.#file = file;
    this.#next = next;
  }

  /** Opens or creates the file; throws FORMAT_UNSUPPORTED for a mark of a newer build. */
  static async open(path: string): Promise<OpenedMark> {
    const file = await open(path, 'a+', FILE_MODE).then(async (created) => {
      await created.close();
      return open(path, 'r+');
    });
    try {
      // What a process left that was killed.
      await file.sync();
      const marks = [await readSlot(file, 0, path), await readSlot(file, 1, path)] as const;
      const newest = (marks[1]?.size ?? -1) > (marks[0]?.size ?? -1) ? 1 : 0;
      const counts = {
        snapshot: await readCount(file, 'snapshot'),
        cosignatures: await readCount(file, 'cosignatures'),
      };
      return { file: new HighWaterMark(file, newest === 0 ? 1 : 0), mark: marks[newest], counts };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Both slots, synced: from now on the file is known to be there. */
  async begin(mark: Mark): Promise<void> {
    await this.write(mark);
    await this.#turn();
    await this.write(mark);
    await this.#turn();
  }

  async write(mark: Mark): Promise<void> {
    if (this.#unsynced === LIMITS.markChangesPerSync) await this.#turn();
    const body = Buffer.alloc(BODY_BYTES);
    MAGIC.copy(body);
    body.writeUInt32LE(FORMAT_VERSION, 8);
    body.writeBigUInt64LE(BigInt(mark.size), 12);
    body.set(mark.rootHash, 20);
    const slot = Buffer.concat([body, sha256(body)]);
    await this.#file.write(slot, 0, slot.length, this.#next * SLOT_BYTES);
    this.#unsynced += 1;
  }

  /** What is counted is durable. */
  async writeCount(of: Counted, count: number): Promise<void> {
    const body = Buffer.alloc(COUNT_BYTES);
    COUNTS[of].magic.copy(body);
    body.writeUInt32LE(FORMAT_VERSION, 8);
    body.writeBigUInt64LE(BigInt(count), 12);
    const record = Buffer.concat([body, sha256(body)]);
    await this.#file.write(record, 0, record.length, COUNTS[of].at);
  }

  /** Goes on with the other slot once this one cannot be torn any more. */
  async #turn(): Promise<void> {
    await this.#file.sync();
    this.#next = this.#next === 0 ? 1 : 0;
    this.#unsynced = 0;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#file.sync();
    } finally {
      await this.#file.close();
    }
  }
}

/** The mark of a slot; undefined for one that was never written or is torn: the other one counts then. */
async function readSlot(file: FileHandle, slot: number, path: string): Promise<Mark | undefined> {
  const bytes = Buffer.alloc(BODY_BYTES + CHECKSUM_BYTES);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, slot * SLOT_BYTES);
  const body = bytes.subarray(0, BODY_BYTES);
  if (bytesRead < bytes.length || !body.subarray(0, 8).equals(MAGIC)) return undefined;
  if (!bytes.subarray(BODY_BYTES).equals(sha256(body))) return undefined;
  requireFormatVersion(body.readUInt32LE(8), FORMAT_VERSION, path);
  return { size: Number(body.readBigUInt64LE(12)), rootHash: new Uint8Array(body.subarray(20, 52)) };
}

/** One that is torn or damaged says nothing: what is counted can be had again. */
async function readCount(file: FileHandle, of: Counted): Promise<number> {
  const record = Buffer.alloc(COUNT_BYTES + CHECKSUM_BYTES);
  await file.read(record, 0, record.length, COUNTS[of].at);
  const body = record.subarray(0, COUNT_BYTES);
  const isWhole = record.subarray(COUNT_BYTES).equals(sha256(body));
  const known =
    isWhole && body.subarray(0, 8).equals(COUNTS[of].magic) && body.readUInt32LE(8) === FORMAT_VERSION;
  return known ? Number(body.readBigUInt64LE(12)) : 0;
}

/** Of a ledger that was given one. */
export const unmarked = (): TributaryError =>
  new TributaryError('STORE_CORRUPT', 'the high-water mark of the ledger is missing, or damaged', {
    hint: 'without it nobody knows whether the newest entries are all there: restore a backup',
  });
