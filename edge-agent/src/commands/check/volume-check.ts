import { TributaryError } from '@tributary/proto';
import { readSealingKey } from '@tributary/proto/node';

import { requireRoomForSockets } from '../../adapters/files/data-directory.js';
import { lookAtVolume, type VolumeLook } from '../../adapters/files/volume-look.js';
import type { AgentConfig } from '../../config.js';
import { failedLine, noteLine, okLine, type CheckLine } from '../../domain/site-check/check-line.js';

const GIB = 1024 ** 3;
/** A version that is served, a base model, an update that waits for its acceptance: a mid-sized model takes that. */
const COMFORTABLE_BYTES = GIB;
/** Less than that, and the next update stops the site. */
const LEAST_BYTES = 64 * 1024 ** 2;
/** A disk that is so slow makes every step of a secure round wait. */
const SLOW_SYNC_MS = 1_000;

/** Whether the agent can keep its data: writable, durable, with room, its own. */
export async function volumeCheck({ dataDir }: Pick<AgentConfig, 'dataDir'>): Promise<CheckLine> {
  try {
    requireRoomForSockets(dataDir);
    return volumeLine(dataDir, await lookAtVolume(dataDir), process.getuid?.());
  } catch (error) {
    return faultOfVolume(dataDir, error);
  }
}

/** Whether the key that seals what is kept can be used. */
export async function sealKeyCheck({ sealKeyFile }: Pick<AgentConfig, 'sealKeyFile'>): Promise<CheckLine> {
  if ((await readSealingKey(sealKeyFile)) !== undefined)
    return okLine('seal-key', `${sealKeyFile} can be used`);
  return okLine('seal-key', `${sealKeyFile} is not there: the first start makes it`);
}

/** What a look at the folder comes to, for the user of this process. */
export function volumeLine(dataDir: string, look: VolumeLook, user: number | undefined): CheckLine {
  const { exists, owner, mode, freeBytes, syncMs } = look;
  if (exists && user !== undefined && user !== 0 && owner !== user)
    return failedLine(
      'volume',
      `${dataDir} belongs to user ${String(owner)}, and this process runs as ${String(user)}`,
      `run chown -R ${String(user)} ${dataDir}, or start it as that user (a pod: user.id of the chart)`,
    );
  if (exists && (mode & 0o002) !== 0)
    return failedLine('volume', `everybody may write into ${dataDir}`, `run chmod 700 ${dataDir}`);
  const room = `${gib(freeBytes)} GiB free`;
  if (freeBytes < LEAST_BYTES)
    return failedLine('volume', `${dataDir}: ${room}`, 'free some, or make the volume larger');
  if (freeBytes < COMFORTABLE_BYTES)
    return noteLine(
      'volume',
      `${dataDir}: ${room}`,
      'give it 1 GiB and more: models and updates are kept there',
    );
  if (syncMs > SLOW_SYNC_MS)
    return noteLine(
      'volume',
      `${dataDir}: ${String(syncMs)} ms until a small file was durable`,
      'use a local disk; a network share makes every step of a secure round wait',
    );
  const made = exists ? '' : ', which the first start makes';
  return okLine('volume', `${dataDir}${made}: writable, ${room}, durable within ${String(syncMs)} ms`);
}

const gib = (bytes: number): string => (bytes / GIB).toFixed(bytes < GIB ? 2 : 0);

const FAULTS: Readonly<Record<string, readonly [cause: string, fix: string]>> = {
  EROFS: ['the file system is read-only', 'mount it read-write; after a disk error it stays so until fsck'],
  ENOSPC: ['the disk is full, of bytes or of files (df -i)', 'free some space, or make the volume larger'],
  EDQUOT: ['the quota of the disk is used up', 'raise the quota of this user'],
  EACCES: ['this user may not write there', 'chown it to the user of the agent (65532 in the images)'],
  EPERM: ['this user may not write there', 'chown it to the user of the agent (65532 in the images)'],
  ENOTDIR: ['a part of the path is a file', 'correct dataDir'],
  EIO: ['the disk reports an error', 'look at dmesg, and replace it'],
};

function faultOfVolume(dataDir: string, error: unknown): CheckLine {
  if (error instanceof TributaryError)
    return failedLine('volume', error.message, error.hint ?? 'correct dataDir');
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const [cause, fix] = FAULTS[code] ?? [`the system says ${code}`, 'see dmesg and the mount'];
  return failedLine('volume', `${dataDir}: ${cause}`, fix);
}
