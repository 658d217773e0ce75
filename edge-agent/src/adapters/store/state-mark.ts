import { open, type FileHandle } from 'node:fs/promises';

import { LIMITS, requireFormat, sha256 } from '@tributary/proto';

import { fileError } from '../files/file-error.js';
import type { StateSum } from './state-tally.js';

const FORMAT_VERSION = 1;
const MAGIC = Buffer.from('TRIBMARK');
/** Slots lie in different disk sectors: a torn write spoils one of them at most. */
const SLOT_BYTES = 4_096;
const SUM_BYTES = 16;
const BODY_BYTES = MAGIC.length + 4 + 8 + SUM_BYTES;
const CHECKSUM_BYTES = 32;

/**
 * What was last acknowledged, kept outside the database. LevelDB drops damaged records of its log without a word when it
 * opens, and begins anew where its files are gone: what is lost at the end shows here. It is written after the records are
 * durable: it may be behind, and is never ahead. Of its two slots one is written without a sync while the other is on the
 * disk for good; in turn, with a sync between.
 */
export class StateMark {
  readonly #file: FileHandle;
  #next: 0 | 1;
  #unsynced = 0;

  private constructor(file: FileHandle, next: 0 | 1) {
    this.#file = file;
    this.#next = next;
  }

  /** Opens or creates the file. Rejects with FORMAT_UNSUPPORTED, STORE_FULL. */
  static async open(path: string): Promise<{ readonly file: StateMark; readonly sum: StateSum | undefined }> {
    try {
      await (await open(path, 'a', 0o600)).close();
      const file = await open(path, 'r+');
      // What a process left that was killed.
      await file.sync();
      const sums = [await readSlot(file, 0, path), await readSlot(file, 1, path)] as const;
      const newest = (sums[1]?.changes ?? -1) > (sums[0]?.changes ?? -1) ? 1 : 0;
      return { file: new StateMark(file, newest === 0 ? 1 : 0), sum: sums[newest] };
    } catch (error) {
      throw fileError(error, path);
    }
  }

  /** Both slots, synced: from now on the file takes no more space, and is known to be there. */
  async begin(sum: StateSum): Promise<void> {
    await this.write(sum);
    await this.#turn();
    await this.write(sum);
    await this.#turn();
  }

  async write({ changes, sum }: StateSum): Promise<void> {
    if (this.#unsynced === LIMITS.markChangesPerSync) await this.#turn();
    const body = Buffer.alloc(BODY_BYTES);
    MAGIC.copy(body);
    body.writeUInt32LE(FORMAT_VERSION, MAGIC.length);
    body.writeBigUInt64LE(BigInt(changes), MAGIC.length + 4);
    body.write(sum, BODY_BYTES - SUM_BYTES, 'hex');
    const slot = Buffer.concat([body, sha256(body)]);
    await this.#file.write(slot, 0, slot.length, this.#next * SLOT_BYTES);
    this.#unsynced += 1;
  }

  /** Goes on with the other slot once this one cannot be torn any more. */
  async #turn(): Promise<void> {
    await this.#file.sync();
    this.#next = this.#next === 0 ? 1 : 0;
    this.#unsynced = 0;
  }

  async close(): Promise<void> {
    try {
      await this.#file.sync();
    } finally {
      await this.#file.close();
    }
  }
}

/** Undefined for a slot that was never written or is torn: the other one counts then. */
async function readSlot(file: FileHandle, slot: number, path: string): Promise<StateSum | undefined> {
  const bytes = Buffer.alloc(BODY_BYTES + CHECKSUM_BYTES);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, slot * SLOT_BYTES);
  const body = bytes.subarray(0, BODY_BYTES);
  if (bytesRead < bytes.length || !body.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (!bytes.subarray(BODY_BYTES).equals(sha256(body))) return undefined;
  requireFormat(body.readUInt32LE(MAGIC.length), path, FORMAT_VERSION);
  return {
    changes: Number(body.readBigUInt64LE(MAGIC.length + 4)),
    sum: body.toString('hex', BODY_BYTES - SUM_BYTES),
  };
}
