import { open, type FileHandle } from 'node:fs/promises';

import { sha256 } from '@tributary/proto';

import { requireFormatVersion } from '../files/directory-format.js';
import { FILE_MODE } from '../files/durable-file.js';

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
/** Behind the two slots: builds before this one neither read nor write it. */
const SNAPSHOT = { magic: Buffer.from('TRIBSNAP'), at: 2 * SLOT_BYTES, bytes: 8 + 4 + 8 } as const;

interface OpenedMark {
  readonly file: HighWaterMark;
  readonly mark: Mark | undefined;
  /** Entries of the newest snapshot; 0 where none was marked. */
  readonly snapshotSize: number;
}

/**
 * The largest acknowledged size of the ledger, and that of its newest snapshot, kept outside its database. LevelDB drops
 * damaged records of its log without a word when it opens; what is lost that way shows here. Two slots are written in turn, after the entries are
 * durable and without a sync of their own, so that the mark may be behind the ledger and is never ahead of it.
 */
export class HighWaterMark {
  readonly #file: FileHandle;
  #next = 0;
  #closed = false;

  private constructor(file: FileHandle, next: number) {
    this.#file = file;
    this.#next = next;
  }

  /** Opens or creates the file; throws FORMAT_UNSUPPORTED for a mark of a newer build. */
  static async open(path: string): Promise<OpenedMark> {
    const file = await open(path, 'a+', FILE_MODE).then(async (created) => {
      await created.close();
      return open(path, 'r+');
    });
    const marks = [await readSlot(file, 0, path), await readSlot(file, 1, path)] as const;
    const newest = (marks[1]?.size ?? -1) > (marks[0]?.size ?? -1) ? 1 : 0;
    const snapshotSize = await readSnapshotSize(file);
    return { file: new HighWaterMark(file, 1 - newest), mark: marks[newest], snapshotSize };
  }

  async write(mark: Mark): Promise<void> {
    const body = Buffer.alloc(BODY_BYTES);
    MAGIC.copy(body);
    body.writeUInt32LE(FORMAT_VERSION, 8);
    body.writeBigUInt64LE(BigInt(mark.size), 12);
    body.set(mark.rootHash, 20);
    const slot = Buffer.concat([body, sha256(body)]);
    await this.#file.write(slot, 0, slot.length, this.#next * SLOT_BYTES);
    this.#next = 1 - this.#next;
  }

  /** A snapshot of so many entries is durable. */
  async writeSnapshotSize(size: number): Promise<void> {
    const body = Buffer.alloc(SNAPSHOT.bytes);
    SNAPSHOT.magic.copy(body);
    body.writeUInt32LE(FORMAT_VERSION, 8);
    body.writeBigUInt64LE(BigInt(size), 12);
    const record = Buffer.concat([body, sha256(body)]);
    await this.#file.write(record, 0, record.length, SNAPSHOT.at);
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

/** One that is torn or damaged says nothing: the snapshot is a cache. */
async function readSnapshotSize(file: FileHandle): Promise<number> {
  const record = Buffer.alloc(SNAPSHOT.bytes + CHECKSUM_BYTES);
  await file.read(record, 0, record.length, SNAPSHOT.at);
  const body = record.subarray(0, SNAPSHOT.bytes);
  const isWhole = record.subarray(SNAPSHOT.bytes).equals(sha256(body));
  const known =
    isWhole && body.subarray(0, 8).equals(SNAPSHOT.magic) && body.readUInt32LE(8) === FORMAT_VERSION;
  return known ? Number(body.readBigUInt64LE(12)) : 0;
}
