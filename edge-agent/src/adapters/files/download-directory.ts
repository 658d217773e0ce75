import { open, readdir, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

import { LIMITS, requireFormat, type Digest } from '@tributary/proto';
import { makeDirectory } from '@tributary/proto/node';

import type { DownloadStore, KeptDownload } from '../../transfer-ports.js';
import { fileError } from './file-error.js';

const FORMAT_VERSION = 1;
const MAGIC = Buffer.from('TRIBDOWN');
/** Magic and format version. */
const HEADER_BYTES = 12;
/** Length and CRC-32 of a piece, before it. */
const PREFIX_BYTES = 8;

/**
 * One file for each blob: a header, then pieces, each behind its length and CRC-32. A sum for each piece finds what a
 * crash of the machine or the disk damaged; whether the whole is what the ledger names, its digest says. A blob is the
 * coordinator's and not the site's, so it is not sealed.
 */
export class DownloadDirectory implements DownloadStore {
  readonly #root: string;
  readonly #open = new Set<string>();

  private constructor(root: string) {
    this.#root = root;
  }

  static async open(root: string): Promise<DownloadDirectory> {
    await makeDirectory(root);
    return new DownloadDirectory(root);
  }

  async open(digest: Digest): Promise<KeptDownload> {
    const name = digest.replace(':', '-');
    if (this.#open.has(name)) return KEEPS_NOTHING;
    this.#open.add(name);
    const path = join(this.#root, name);
    try {
      await this.#forgetOthers(name);
      return new DownloadFile(path, await openFile(path), () => this.#open.delete(name));
    } catch (error) {
      this.#open.delete(name);
      throw fileError(error, path);
    }
  }

  /** The oldest go: of what is kept at most LIMITS.keptDownloads, this one among them. */
  async #forgetOthers(name: string): Promise<void> {
    const idle = (await readdir(this.#root)).filter((other) => other !== name && !this.#open.has(other));
    const aged = await Promise.all(
      idle.map(async (other) => {
        const path = join(this.#root, other);
        return { path, changedMs: (await stat(path)).mtimeMs };
      }),
    );
    aged.sort((a, b) => b.changedMs - a.changedMs);
    for (const { path } of aged.slice(LIMITS.keptDownloads - 1)) await rm(path, { force: true });
  }
}

/** The file with its header, made where there is none that can be read. */
async function openFile(path: string): Promise<FileHandle> {
  const file = await open(path, 'a+', 0o600);
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    const { bytesRead } = await file.read(header, 0, HEADER_BYTES, 0);
    if (bytesRead === HEADER_BYTES && header.subarray(0, MAGIC.length).equals(MAGIC)) {
      requireFormat(header.readUInt32LE(MAGIC.length), path, FORMAT_VERSION);
      return file;
    }
    await file.truncate(0);
    header.set(MAGIC);
    header.writeUInt32LE(FORMAT_VERSION, MAGIC.length);
    await file.appendFile(header);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

class DownloadFile implements KeptDownload {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #released: () => void;
  #closed: Promise<void> | undefined;

  constructor(path: string, file: FileHandle, released: () => void) {
    this.#path = path;
    this.#file = file;
    this.#released = released;
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    let at = HEADER_BYTES;
    const prefix = Buffer.alloc(PREFIX_BYTES);
    for (;;) {
      const { bytesRead } = await this.#file.read(prefix, 0, PREFIX_BYTES, at);
      if (bytesRead === 0) return;
      const piece = bytesRead < PREFIX_BYTES ? undefined : await this.#pieceAt(at + PREFIX_BYTES, prefix);
      if (piece === undefined) break;
      at += PREFIX_BYTES + piece.length;
      yield piece;
    }
    await this.#file.truncate(at);
  }

  async append(piece: Uint8Array): Promise<void> {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32LE(piece.length, 0);
    prefix.writeUInt32LE(crc32(piece), 4);
    try {
      await this.#file.appendFile(prefix);
      await this.#file.appendFile(piece);
    } catch (error) {
      throw fileError(error, this.#path);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#file.close().finally(this.#released);
    return this.#closed;
  }

  async discard(): Promise<void> {
    await this.close();
    await rm(this.#path, { force: true });
  }

  async #pieceAt(at: number, prefix: Buffer): Promise<Uint8Array | undefined> {
    const length = prefix.readUInt32LE(0);
    if (length === 0 || length > LIMITS.chunkBytes) return undefined;
    const piece = Buffer.allocUnsafeSlow(length);
    const { bytesRead } = await this.#file.read(piece, 0, length, at);
    return bytesRead === length && crc32(piece) === prefix.readUInt32LE(4) ? piece : undefined;
  }
}

const nothing = (): Promise<void> => Promise.resolve();

const KEEPS_NOTHING: KeptDownload = {
  read: async function* () {
    await Promise.resolve();
    yield* [];
  },
  append: nothing,
  close: nothing,
  discard: nothing,
};
