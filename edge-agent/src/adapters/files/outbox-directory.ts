import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { LIMITS, openStream, sealStream, TributaryError, type SealOptions } from '@tributary/proto';
import { isTemporaryName, makeDirectory, writeDurably, type Chunks } from '@tributary/proto/node';

import type { OutboxFiles } from '../../ports.js';
import { fileError } from './file-error.js';
import { writeThrough } from './write-through.js';

const NAME = /^[a-z0-9][a-z0-9.-]{0,127}$/;

/** The outbox as files of one directory. */
export class OutboxDirectory implements OutboxFiles {
  readonly #directory: string;
  readonly #key: Uint8Array;

  private constructor(directory: string, key: Uint8Array) {
    this.#directory = directory;
    this.#key = key;
  }

  /** Creates the directory where it is missing and removes what a crash left half-written. */
  static async open(directory: string, key: Uint8Array): Promise<OutboxDirectory> {
    await makeDirectory(directory);
    for (const name of await readdir(directory)) {
      if (isTemporaryName(name)) await rm(join(directory, name), { force: true });
    }
    return new OutboxDirectory(directory, key);
  }

  /** To read in beside the process that owns the directory: what is half-written stays. */
  static view(directory: string, key: Uint8Array): Pick<OutboxFiles, 'list' | 'readSealed'> {
    return new OutboxDirectory(directory, key);
  }

  writeSealed(name: string, chunks: Chunks): Promise<void> {
    return writeDurably(this.#path(name), sealStream(this.#seal(name), chunks));
  }

  readSealed(name: string): AsyncIterable<Uint8Array> {
    return openStream(this.#seal(name), this.read(name, 0, LIMITS.chunkBytes));
  }

  writeThrough(name: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    return writeThrough(this.#path(name), chunks);
  }

  async *read(name: string, offset: number, pieceBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    const path = this.#path(name);
    try {
      const file = await open(path, 'r');
      try {
        for (let position = offset; ; position += pieceBytes) {
          // A buffer of its own for each piece: the one before may still be on its way to the socket.
          const piece = Buffer.allocUnsafeSlow(pieceBytes);
          const length = await readFully(file, piece, position);
          if (length > 0) yield piece.subarray(0, length);
          if (length < pieceBytes) return;
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      throw fileError(error, path);
    }
  }

  async has(name: string): Promise<boolean> {
    const path = this.#path(name);
    try {
      await stat(path);
      return true;
    } catch (error) {
      // Only a file that is not there is missing: after any other fault its update must not be given up.
      const known = fileError(error, path);
      if (known.code === 'NOT_FOUND') return false;
      throw known;
    }
  }

  async remove(name: string): Promise<void> {
    // Not synced: a file that comes back after a power cut belongs to no item, and the next start removes it.
    await rm(this.#path(name), { force: true });
  }

  async list(): Promise<readonly string[]> {
    return (await readdir(this.#directory)).filter((name) => !isTemporaryName(name));
  }

  #seal(name: string): SealOptions {
    return { key: this.#key, name: `outbox/${name}`, path: this.#path(name) };
  }

  #path(name: string): string {
    if (!NAME.test(name)) throw new TributaryError('INTERNAL', 'not a name of the outbox');
    return join(this.#directory, name);
  }
}

interface Readable {
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
}

async function readFully(file: Readable, piece: Uint8Array, position: number): Promise<number> {
  let filled = 0;
  while (filled < piece.length) {
    const { bytesRead } = await file.read(piece, filled, piece.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}
