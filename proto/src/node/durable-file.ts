import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, statfs, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { diskError } from './disk-error.js';

/** Files and directories belong to the daemon alone: they hold sealed keys and site names. */
export const FILE_MODE = 0o600;
export const DIRECTORY_MODE = 0o700;

export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Makes the entries of a directory durable: a created, renamed or removed file stays so after a power cut. */
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

/**
 * Creates a directory that only this user enters, and what is missing above it; durable when it resolves. Rejects as
 * {@link diskError} says.
 */
export async function makeDirectory(path: string): Promise<void> {
  try {
    const first = await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
    if (first === undefined) return;
    for (let at = path; at.length >= first.length; at = dirname(at)) await syncDirectory(dirname(at));
  } catch (error) {
    throw diskError(error, path);
  }
}

/** Writes all of `bytes`, however many calls the system takes. */
export async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}

/**
 * Replaces `path` by `content`: whole and durable when it resolves, untouched when it rejects or the process dies. The
 * temporary file lies in the directory of `path`, or in `temporary` on the same file system. Rejects as {@link diskError}
 * says, and with what `content` throws where that is an error of the table.
 */
export async function writeDurably(path: string, content: Chunks, temporary?: string): Promise<void> {
  const scratch = join(temporary ?? dirname(path), temporaryName(basename(path)));
  try {
    const file = await open(scratch, 'wx', FILE_MODE);
    try {
      for await (const chunk of content) await writeFully(file, chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(scratch, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(scratch, { force: true });
    throw diskError(error, path);
  }
}

const SUFFIX = '.part';
/** As older coordinators named them. */
const OLDER = /^\.[\w.-]+\.[0-9a-f]{16}\.tmp$/;

/** A name that no finished file has and that two writers do not share. */
export function temporaryName(name: string): string {
  // A name of its own may be as long as the system takes already.
  return `.${name.slice(0, 64)}.${randomBytes(8).toString('hex')}${SUFFIX}`;
}

/** True for names of {@link temporaryName}: what a crash leaves behind and an opening store sweeps. */
export function isTemporaryName(name: string): boolean {
  return name.endsWith(SUFFIX) || OLDER.test(name);
}
