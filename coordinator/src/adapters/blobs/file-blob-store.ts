import { createHash } from 'node:crypto';
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import {
  digestFromHash,
  isDigest,
  LIMITS,
  requireDigest,
  TributaryError,
  type Digest,
} from '@tributary/proto';
import {
  diskError,
  FILE_MODE,
  isMissing,
  makeDirectory,
  syncDirectory,
  temporaryName,
  writeFully,
  type Chunks,
} from '@tributary/proto/node';

import type { BlobStore } from '../../ports.js';
import { openDirectoryFormat } from '../files/directory-format.js';

const FORMAT_VERSION = 1;
const HEX = /^[0-9a-f]{64}$/;
const SHARD = /^[0-9a-f]{2}$/;

/**
 * Blobs as files `<first two hex digits>/<64 hex digits>` with their bare content. A blob appears whole or not at all:
 * it is written and synced in `incoming/` first.
 */
export class FileBlobStore implements BlobStore {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Opens or creates the store; removes what a crash left unfinished. The caller owns the directory alone. */
  static async open(directory: string): Promise<FileBlobStore> {
    try {
      await openDirectoryFormat(directory, 'blobs', FORMAT_VERSION);
      await rm(join(directory, 'incoming'), { recursive: true, force: true });
      await makeDirectory(join(directory, 'incoming'));
    } catch (error) {
      throw diskError(error, directory);
    }
    return new FileBlobStore(directory);
  }

  async put(content: Chunks): Promise<{ readonly digest: Digest; readonly size: number }> {
    const scratch = join(this.#directory, 'incoming', temporaryName('blob'));
    try {
      const written = await writeHashed(scratch, content);
      const path = this.#path(written.digest);
      await makeDirectory(dirname(path));
      // Renaming over a blob that exists changes nothing where it is good, and mends it where it is not.
      await rename(scratch, path);
      await syncDirectory(dirname(path));
      return written;
    } catch (error) {
      await rm(scratch, { force: true });
      throw error instanceof Error && !('code' in error) ? error : diskError(error, 'blob store');
    }
  }

  async size(digest: Digest): Promise<number | undefined> {
    try {
      return (await stat(this.#path(digest))).size;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw diskError(error, `blob ${digest}`);
    }
  }

  async *read(digest: Digest): AsyncIterable<Uint8Array> {
    const hash = createHash('sha256');
    let held: Uint8Array = new Uint8Array(0);
    for await (const chunk of this.readStored(digest, 0)) {
      if (held.length > 0) yield held;
      hash.update(chunk);
      held = chunk;
    }
    if (digestFromHash(hash.digest()) !== digest) throw corrupt(digest);
    if (held.length > 0) yield held;
  }

  /** An offset beyond the end rejects with INVALID_ARGUMENT. */
  async *readStored(digest: Digest, offset: number): AsyncIterable<Uint8Array> {
    const file = await this.#openBlob(digest);
    try {
      const { size } = await file.stat();
      if (!Number.isSafeInteger(offset) || offset < 0 || offset > size) {
        throw new TributaryError(
          'INVALID_ARGUMENT',
          `offset: ${String(offset)} is outside blob ${digest} of ${String(size)} bytes`,
          {
            fields: { field: 'offset' },
          },
        );
      }
      yield* readChunks(file, digest, offset, size);
    } finally {
      await file.close();
    }
  }

  async delete(digest: Digest): Promise<void> {
    const path = this.#path(digest);
    try {
      await rm(path);
      await syncDirectory(dirname(path));
    } catch (error) {
      if (!isMissing(error)) throw diskError(error, `blob ${digest}`);
    }
  }

  async *list(): AsyncIterable<Digest> {
    const shards = (await readdir(this.#directory)).filter((name) => SHARD.test(name)).sort();
    for (const shard of shards) {
      const names = (await readdir(join(this.#directory, shard))).filter((name) => HEX.test(name)).sort();
      for (const name of names) {
        const digest = `sha256:${name}`;
        if (isDigest(digest)) yield digest;
      }
    }
  }

  async #openBlob(digest: Digest): Promise<FileHandle> {
    try {
      return await open(this.#path(digest), 'r');
    } catch (error) {
      if (isMissing(error)) throw new TributaryError('NOT_FOUND', `no blob ${digest}`);
      throw diskError(error, `blob ${digest}`);
    }
  }

  #path(digest: Digest): string {
    const hex = requireDigest(digest, 'digest').slice('sha256:'.length);
    return join(this.#directory, hex.slice(0, 2), hex);
  }
}

async function writeHashed(
  path: string,
  content: Chunks,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const hash = createHash('sha256');
  const file = await open(path, 'wx', FILE_MODE);
  try {
    let size = 0;
    for await (const chunk of content) {
      hash.update(chunk);
      await writeFully(file, chunk);
      size += chunk.length;
    }
    await file.sync();
    return { digest: digestFromHash(hash.digest()), size };
  } finally {
    await file.close();
  }
}

async function* readChunks(
  file: FileHandle,
  digest: Digest,
  offset: number,
  size: number,
): AsyncGenerator<Uint8Array> {
  for (let at = offset; at < size;) {
    // A buffer of its own for each chunk: the reader may hold it while it is being sent.
    const buffer = Buffer.allocUnsafeSlow(Math.min(LIMITS.chunkBytes, size - at));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) throw corrupt(digest);
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function corrupt(digest: Digest): TributaryError {
  return new TributaryError('STORE_CORRUPT', `blob ${digest} does not match its digest`, {
    hint: 'restore it from a backup',
    fields: { digest },
  });
}
