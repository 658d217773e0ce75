import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { LIMITS } from '@tributary/proto';
import { makeDirectory } from '@tributary/proto/node';

import type { SealedFiles } from '../../ports.js';
import { OutboxDirectory } from './outbox-directory.js';

/** Opens the directory of checkpoints and removes those that are older than any round can be. */
export async function openCheckpointDirectory(
  directory: string,
  key: Uint8Array,
  nowMs = Date.now(),
): Promise<SealedFiles> {
  await makeDirectory(directory);
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const { mtimeMs } = await stat(path);
    if (mtimeMs < nowMs - LIMITS.checkpointTtlMs) await rm(path, { force: true });
  }
  return OutboxDirectory.open(directory, key);
}
