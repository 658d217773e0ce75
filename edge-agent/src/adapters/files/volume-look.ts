import { constants } from 'node:fs';
import { access, open, rm, stat, statfs, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What a file system says of a folder that a process means to own. */
export interface VolumeLook {
  /** The folder, or the nearest one above it that exists. */
  readonly at: string;
  readonly exists: boolean;
  readonly owner: number;
  readonly mode: number;
  readonly freeBytes: number;
  /** Milliseconds for a small file to be durable. */
  readonly syncMs: number;
}

const PROBE_BYTES = 64 * 1024;
/** Linux, whatever the processor: with O_DIRECTORY it makes a file without a name, gone when it is closed. */
const UNNAMED = 0o20000000 | constants.O_DIRECTORY | constants.O_RDWR;

/**
 * Looks at a folder, and writes and syncs a file in it that has no name, so that nothing is left even by a crash. A folder
 * that is not there yet is not made. Rejects with what the system says.
 */
export async function lookAtVolume(folder: string): Promise<VolumeLook> {
  const at = await nearest(folder);
  const [{ uid, mode }, { bavail, bsize }] = await Promise.all([stat(at), statfs(at)]);
  await access(at, constants.W_OK | constants.X_OK);
  const began = performance.now();
  await writeNothingThatStays(at);
  return {
    ...{ at, exists: at === folder, owner: uid, mode: mode & 0o777, freeBytes: bavail * bsize },
    syncMs: Math.round(performance.now() - began),
  };
}

async function nearest(folder: string): Promise<string> {
  try {
    await stat(folder);
    return folder;
  } catch (error) {
    const parent = dirname(folder);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === folder) throw error;
    return nearest(parent);
  }
}

async function writeNothingThatStays(folder: string): Promise<void> {
  const { file, name } = await openProbe(folder);
  try {
    await file.write(Buffer.alloc(PROBE_BYTES));
    await file.sync();
  } finally {
    await file.close();
    if (name !== undefined) await rm(name, { force: true });
  }
}

/** A file system that knows no unnamed files (NFS) gets one with a name, which is removed. */
async function openProbe(
  folder: string,
): Promise<{ readonly file: FileHandle; readonly name: string | undefined }> {
  try {
    return { file: await open(folder, UNNAMED, 0o600), name: undefined };
  } catch (error) {
    if (!['EOPNOTSUPP', 'EISDIR', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    const name = join(folder, `.tributary-check-${String(process.pid)}`);
    return { file: await open(name, 'wx', 0o600), name };
  }
}
