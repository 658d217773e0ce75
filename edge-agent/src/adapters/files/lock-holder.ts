import { readFile, stat } from 'node:fs/promises';

/**
 * Which process holds a lock on a file, by Linux's list of locks, which shows those of this pod or machine; undefined where
 * none does, or the system has no such list.
 */
export async function lockHolder(path: string): Promise<number | undefined> {
  try {
    const [{ dev, ino }, list] = await Promise.all([
      stat(path, { bigint: true }),
      readFile('/proc/locks', 'utf8'),
    ]);
    // Device numbers as the C library packs them (gnu_dev_makedev).
    const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
    const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
    const file = `${hex(major)}:${hex(minor)}:${String(ino)}`;
    const line = list.split('\n').find((one) => one.split(/\s+/).includes(file));
    const pid = Number(line?.trim().split(/\s+/)[4]);
    return Number.isInteger(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

const hex = (value: bigint): string => value.toString(16).padStart(2, '0');
