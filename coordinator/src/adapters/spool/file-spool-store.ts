import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { LIMITS, requireId, TributaryError } from '@tributary/proto';
import { causeCode, diskError } from '@tributary/proto/node';

import type { Spool, SpoolHeader, SpoolStore } from '../../ports.js';
import { openDirectoryFormat } from '../files/directory-format.js';
import { SpoolFile, type SpoolFileState } from './spool-file.js';

const FORMAT_VERSION = 1;
const FILE = /^(upl-[0-9a-f]{32})\.spool$/;

/** A file that is in use, by as many spools as were opened for it. */
interface Shared {
  readonly file: Promise<SpoolFile | undefined>;
  users: number;
}

/**
 * Spools as files `<upload id>.spool`. Several spools of one upload (a receiver, the aggregation) share one file and one
 * order of appends.
 */
export class FileSpoolStore implements SpoolStore {
  readonly #directory: string;
  readonly #shared = new Map<string, Shared>();
  /** Files that this process closed: they open again without being read through. As many as there are files. */
  readonly #closed = new Map<string, SpoolFileState>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Opens or creates the store. The caller owns the directory alone. */
  static async open(directory: string): Promise<FileSpoolStore> {
    try {
      await openDirectoryFormat(directory, 'spools', FORMAT_VERSION);
    } catch (error) {
      throw diskError(error, directory);
    }
    return new FileSpoolStore(directory);
  }

  /** Rejects with ALREADY_EXISTS, INVALID_ARGUMENT for a malformed upload id or chunk size, STORE_FULL. */
  async create(header: SpoolHeader, chunkBytes: number): Promise<Spool> {
    const path = this.#path(header.uploadId);
    if (!Number.isSafeInteger(chunkBytes) || chunkBytes < 1 || chunkBytes > LIMITS.chunkBytes) {
      throw new TributaryError('INVALID_ARGUMENT', `chunkBytes: 1 to ${String(LIMITS.chunkBytes)}`, {
        fields: { field: 'chunkBytes' },
      });
    }
    if (this.#shared.has(header.uploadId)) throw exists(header.uploadId);
    const spool = await this.#acquire(header.uploadId, () => SpoolFile.create(path, header, chunkBytes));
    if (spool === undefined) throw new TributaryError('INTERNAL', 'a new spool is missing');
    return spool;
  }

  /** Chunks that are not whole do not count: a crash may have torn the last one that was never synced. */
  async open(uploadId: string): Promise<Spool | undefined> {
    const path = this.#path(uploadId);
    const known = this.#closed.get(uploadId);
    return this.#acquire(uploadId, () =>
      known === undefined ? SpoolFile.open(path, uploadId) : SpoolFile.reopen(path, known),
    );
  }

  async remove(uploadId: string): Promise<void> {
    try {
      // Not synced: a spool that comes back after a power cut is one that the ledger says is settled.
      await rm(this.#path(uploadId), { force: true });
      this.#shared.delete(uploadId);
      this.#closed.delete(uploadId);
    } catch (error) {
      throw diskError(error, `spool ${uploadId}`);
    }
  }

  async list(): Promise<readonly string[]> {
    const names = await readdir(this.#directory);
    return names.flatMap((name) => FILE.exec(name)?.[1] ?? []).sort();
  }

  async #acquire(uploadId: string, begin: () => Promise<SpoolFile | undefined>): Promise<Spool | undefined> {
    const shared = this.#shared.get(uploadId) ?? { file: begin(), users: 0 };
    this.#shared.set(uploadId, shared);
    shared.users += 1;
    const release = async (): Promise<void> => {
      shared.users -= 1;
      if (shared.users > 0) return;
      const current = this.#shared.get(uploadId) === shared;
      if (current) this.#shared.delete(uploadId);
      const file = await shared.file;
      if (current && file !== undefined) this.#closed.set(uploadId, file.state);
      await file?.close();
    };
    try {
      const file = await shared.file;
      if (file !== undefined) return new FileSpool(file, release);
    } catch (error) {
      await release().catch(() => undefined);
      if (causeCode(error) === 'EEXIST') throw exists(uploadId);
      throw diskError(error, `spool ${uploadId}`);
    }
    await release();
    return undefined;
  }

  #path(uploadId: string): string {
    return join(this.#directory, `${requireId(uploadId, 'upl', 'uploadId')}.spool`);
  }
}

class FileSpool implements Spool {
  readonly #file: SpoolFile;
  readonly #release: () => Promise<void>;
  #open = true;

  constructor(file: SpoolFile, release: () => Promise<void>) {
    this.#file = file;
    this.#release = release;
  }

  get header(): SpoolHeader {
    return this.#file.header;
  }

  chunkCount(): number {
    return this.#file.count;
  }

  append(chunk: Uint8Array): Promise<void> {
    return this.#open ? this.#file.append(chunk) : Promise.reject(closed());
  }

  sync(): Promise<void> {
    return this.#open ? this.#file.sync() : Promise.reject(closed());
  }

  truncate(count: number): Promise<void> {
    return this.#open ? this.#file.truncate(count) : Promise.reject(closed());
  }

  async *chunks(): AsyncIterable<Uint8Array> {
    if (!this.#open) throw closed();
    yield* this.#file.chunks();
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#file.settled();
    await this.#release();
  }
}

const exists = (uploadId: string): TributaryError =>
  new TributaryError('ALREADY_EXISTS', `spool ${uploadId} exists`);
const closed = (): TributaryError => new TributaryError('INTERNAL', 'the spool is closed');
