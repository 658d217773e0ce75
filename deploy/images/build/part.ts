import { randomUUID } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.source;
const OWNED = new RegExp(`^part-(.+)-([0-9]+)-${UUID}$`);
/** As builds before this one called theirs, which do not tell whose they are. */
const UNOWNED = new RegExp(`^part-(?:${UUID}|[A-Za-z0-9]{6})$`);
/** Nothing is being made for so long. */
const ABANDONED_MS = 24 * 3_600_000;

/** Where something is made that gets its name when it is whole: until then its name tells whose it is. */
export const partOf = (folder: string): string =>
  join(folder, `part-${hostname()}-${String(process.pid)}-${randomUUID()}`);

/** Removes from folders what builds left there that were killed; a folder that is missing has nothing. */
export async function removeLeftovers(folders: readonly string[]): Promise<void> {
  for (const folder of folders)
    for (const name of await readdir(folder).catch(() => []))
      if (await isLeftover(folder, name)) await rm(join(folder, name), { recursive: true, force: true });
}

async function isLeftover(folder: string, name: string): Promise<boolean> {
  const [, host, pid] = OWNED.exec(name) ?? [];
  // Processes of other machines cannot be asked for.
  if (host === hostname()) return !isRunning(Number(pid));
  if (host === undefined && !UNOWNED.test(name)) return false;
  const { mtimeMs } = await stat(join(folder, name)).catch(() => ({ mtimeMs: Date.now() }));
  return Date.now() - mtimeMs > ABANDONED_MS;
}

/** One of another user runs too. */
function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
