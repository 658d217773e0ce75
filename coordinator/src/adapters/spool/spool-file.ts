import { open, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

import { TributaryError } from '@tributary/proto';
import { diskError, FILE_MODE, isMissing, syncDirectory } from '@tributary/proto/node';

import type { SpoolHeader } from '../../ports.js';
import {
  decodeSpoolHeader,
  encodeSpoolHeader,
  HEADER_LIMIT,
  type SpoolFileHeader,
} from './spool-file-header.js';

/** In front of each chunk: its length, uint32 little-endian, and four bytes that mean nothing. */
const PREFIX_BYTES = 8;
/** AES-GCM tag that each stored chunk ends with. */
const TAG_BYTES = 16;

/**
 * One spool file: a header, then slots of one size. A slot counts when it is whole, so that a torn tail ends the file
 * where it begins. Pages that a power cut left out of the middle are found by who opens the chunks: each carries the tag
 * of its encryption, and a checksum of its own would cost as much again.
 */
export class SpoolFile {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #header: SpoolFileHeader;
  readonly #chunkLimit: number;
  #count: number;
  #named: boolean;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    path: string,
    file: FileHandle,
    header: SpoolFileHeader,
    count: number,
    named: boolean,
  ) {
    this.#path = path;
    this.#file = file;
    this.#header = header;
    this.#chunkLimit = header.chunkBytes + TAG_BYTES;
    this.#count = count;
    this.#named = named;
  }

  static async create(path: string, header: SpoolHeader, chunkBytes: number): Promise<SpoolFile> {
    const bytes = encodeSpoolHeader(header, chunkBytes);
    const file = await open(path, 'wx+', FILE_MODE);
    try {
      await writeAt(file, [bytes], 0);
    } catch (error) {
      await file.close();
      throw error;
    }
    return new SpoolFile(path, file, { header, chunkBytes, bytes: bytes.length }, 0, false);
  }

  /** Undefined where there is no such file, or one whose header was never written whole, which is removed. */
  static async open(path: string, uploadId: string): Promise<SpoolFile | undefined> {
    let file: FileHandle;
    try {
      file = await open(path, 'r+');
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    try {
      const start = Buffer.alloc(HEADER_LIMIT);
      const { bytesRead } = await file.read(start, 0, start.length, 0);
      const header = decodeSpoolHeader(start.subarray(0, bytesRead), uploadId);
      if (header !== undefined)
        return new SpoolFile(path, file, header, await countChunks(file, header), true);
    } catch (error) {
      await file.close();
      throw error;
    }
    // Never written whole, so nothing of it was acknowledged: the upload begins again.
    await file.close();
    await rm(path);
    return undefined;
  }

  /** Opens a file as this process left it: what it holds need not be looked for. */
  static async reopen(path: string, { header, count, named }: SpoolFileState): Promise<SpoolFile> {
    return new SpoolFile(path, await open(path, 'r+'), header, count, named);
  }

  get header(): SpoolHeader {
    return this.#header.header;
  }

  get count(): number {
    return this.#count;
  }

  get state(): SpoolFileState {
    return { header: this.#header, count: this.#count, named: this.#named };
  }

  append(chunk: Uint8Array): Promise<void> {
    if (chunk.length === 0 || chunk.length > this.#chunkLimit) {
      const limit = String(this.#chunkLimit);
      return Promise.reject(
        new TributaryError(
          'UPDATE_TOO_LARGE',
          `chunk: 1 to ${limit} bytes with the tag, not ${String(chunk.length)}`,
        ),
      );
    }
    return this.#inTurn(async () => {
      const prefix = Buffer.alloc(PREFIX_BYTES);
      prefix.writeUInt32LE(chunk.length, 0);
      await writeAt(this.#file, [prefix, chunk], this.#position(this.#count));
      this.#count += 1;
    });
  }

  sync(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#file.datasync();
      if (!this.#named) await syncDirectory(dirname(this.#path));
      this.#named = true;
    });
  }

  /** Forgets the chunks from `count` on. */
  truncate(count: number): Promise<void> {
    return this.#inTurn(async () => {
      if (count >= this.#count) return;
      await this.#file.truncate(this.#position(count));
      this.#count = count;
    });
  }

  /**
   * The chunks that are there when it begins, each valid until the next is asked for: the next one is being read into a
   * second buffer meanwhile, and fresh memory for each would cost more than the reading.
   */
  async *chunks(): AsyncGenerator<Uint8Array> {
    const count = this.#count;
    const bytes = await this.#slotBytes();
    let buffer = Buffer.allocUnsafeSlow(count > 0 ? bytes : 0);
    let other = Buffer.allocUnsafeSlow(count > 1 ? bytes : 0);
    let next = count > 0 ? this.#read(0, buffer) : undefined;
    for (let index = 0; next !== undefined; index += 1) {
      const chunk = await next;
      [buffer, other] = [other, buffer];
      next = index + 1 < count ? this.#read(index + 1, buffer) : undefined;
      // Whoever stops early never asks for the chunk that is under way: its error must not go unhandled.
      next?.catch(() => undefined);
      yield chunk;
    }
  }

  /** Resolves when everything asked for so far is done, however it ended. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#file.close();
  }

  /** Bytes of a slot, or of the whole file where that is less: an update of a small model is. */
  async #slotBytes(): Promise<number> {
    const { size } = await this.#file.stat().catch((error: unknown) => {
      throw diskError(error, `spool ${this.header.uploadId}`);
    });
    return Math.min(PREFIX_BYTES + this.#chunkLimit, Math.max(PREFIX_BYTES, size - this.#header.bytes));
  }

  async #read(index: number, slot: Buffer): Promise<Uint8Array> {
    const { uploadId } = this.header;
    const chunk = await readSlot(this.#file, slot, this.#position(index)).catch((error: unknown) => {
      throw diskError(error, `spool ${uploadId}`);
    });
    if (chunk !== undefined) return chunk;
    throw new TributaryError('STORE_CORRUPT', `chunk ${String(index)} of spool ${uploadId} is not whole`, {
      fields: { uploadId, chunk: index },
    });
  }

  #position(index: number): number {
    return this.#header.bytes + index * (PREFIX_BYTES + this.#chunkLimit);
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    const result = this.#last.then(action).catch((error: unknown) => {
      throw diskError(error, `spool ${this.header.uploadId}`);
    });
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** What is known of a file that was closed. */
export interface SpoolFileState {
  readonly header: SpoolFileHeader;
  readonly count: number;
  /** Whether its name in the directory is durable. */
  readonly named: boolean;
}

async function countChunks(file: FileHandle, header: SpoolFileHeader): Promise<number> {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  const slotBytes = PREFIX_BYTES + header.chunkBytes + TAG_BYTES;
  const { size } = await file.stat();
  for (let count = 0; ; count += 1) {
    const position = header.bytes + count * slotBytes;
    const { bytesRead } = await file.read(prefix, 0, PREFIX_BYTES, position);
    const length = bytesRead < PREFIX_BYTES ? 0 : prefix.readUInt32LE(0);
    if (length === 0 || length > slotBytes - PREFIX_BYTES || position + PREFIX_BYTES + length > size)
      return count;
  }
}

/** The chunk in the slot at `position`, as a view of `slot`; undefined where there is no whole one. */
async function readSlot(file: FileHandle, slot: Buffer, position: number): Promise<Buffer | undefined> {
  let filled = 0;
  for (let read = -1; read !== 0 && filled < slot.length; filled += read) {
    read = (await file.read(slot, filled, slot.length - filled, position + filled)).bytesRead;
  }
  if (filled < PREFIX_BYTES) return undefined;
  const length = slot.readUInt32LE(0);
  if (length === 0 || PREFIX_BYTES + length > filled) return undefined;
  return slot.subarray(PREFIX_BYTES, PREFIX_BYTES + length);
}

/** Writes `parts` one after the other; the system may take several calls where the disk is nearly full. */
async function writeAt(file: FileHandle, parts: readonly Uint8Array[], position: number): Promise<void> {
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  let { bytesWritten: written } = await file.writev([...parts], position);
  if (written === total) return;
  const rest = Buffer.concat(parts);
  while (written < total) {
    written += (await file.write(rest, written, total - written, position + written)).bytesWritten;
  }
}
