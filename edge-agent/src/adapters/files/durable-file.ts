import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, statfs, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { TributaryError } from '@tributary/proto';

export type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

const SUFFIX = '.part';

/** True for files that a crash left half-written. */
export const isPartial = (name: string): boolean => name.endsWith(SUFFIX);

/** Creates a directory that only this user enters, and what is missing above it; durable when it resolves. */
export async function ensureDirectory(path: string): Promise<void> {
  try {
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    for (let at = path; at.length >= first.length; at = dirname(at)) await syncDirectory(dirname(at));
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Writes `path` with mode 0600: whole and synced, or not at all. */
export async function writeDurable(path: string, chunks: Chunks): Promise<void> {
  const part = join(dirname(path), `${randomBytes(6).toString('hex')}${SUFFIX}`);
  try {
    await writeSynced(part, chunks);
    await rename(part, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(part, { force: true });
    throw fileError(error, path);
  }
}

async function writeSynced(path: string, chunks: Chunks): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of chunks) await writeAll(file, chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Writes `path` with mode 0600 and yields each chunk once it is written. Whoever stops early waits until the rest is
 * written too; where that fails nothing is left. Not synced.
 */
export async function* writeThrough(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const written = writeEach(path, chunks);
  try {
    for (let next = await written.next(); next.done !== true; next = await written.next()) yield next.value;
  } finally {
    while ((await written.next()).done !== true);
  }
}

async function* writeEach(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const file = await open(path, 'w', 0o600);
    try {
      for await (const chunk of chunks) {
        await writeAll(file, chunk);
        yield chunk;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(path, { force: true });
    throw fileError(error, path);
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let written = 0;
  while (written < chunk.length) written += (await file.write(chunk, written)).bytesWritten;
}

/** A rename is durable only once its directory is. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Whether so many bytes are free where `path` lies. */
export async function hasRoom(path: string, bytes: number): Promise<boolean> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize >= bytes;
}

type FileFault = 'STORE_FULL' | 'NOT_FOUND' | 'CONFIG_INVALID' | 'STORE_CORRUPT';

const CODES: Readonly<Record<string, readonly [code: FileFault, reason: string]>> = {
  ENOSPC: ['STORE_FULL', 'the disk is full'],
  EDQUOT: ['STORE_FULL', 'the quota of the disk is used up'],
  ENOENT: ['NOT_FOUND', 'does not exist'],
  EACCES: ['CONFIG_INVALID', 'this user may not use it; give it to the user that runs the agent'],
  EPERM: ['CONFIG_INVALID', 'this user may not use it; give it to the user that runs the agent'],
  EROFS: ['CONFIG_INVALID', 'the file system is read-only'],
  ENOTDIR: ['CONFIG_INVALID', 'a part of the path is a file, not a directory'],
  EISDIR: ['CONFIG_INVALID', 'is a directory, not a file'],
  EEXIST: ['CONFIG_INVALID', 'is a file, not a directory'],
  EIO: ['STORE_CORRUPT', 'the disk reports an input/output error'],
};

/**
 * A failed file operation as an error of the table: STORE_CORRUPT where the disk fails, INTERNAL where nothing says that
 * anything is wrong with the disk, its files or the configuration.
 */
export function fileError(error: unknown, path: string): TributaryError {
  if (error instanceof TributaryError) return error;
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  const [known, reason] = CODES[code] ?? [
    'INTERNAL',
    error instanceof Error ? error.message : 'an unknown fault',
  ];
  return new TributaryError(known, `${path}: ${reason}`, { cause: error });
}
