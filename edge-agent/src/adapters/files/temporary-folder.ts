import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { TributaryError } from '@tributary/proto';

import { fileError } from './file-error.js';

/** Longest path that leaves room for a Unix socket two folders down, for which the system takes 107 bytes. */
const LONGEST_BYTES = 80;

/**
 * A new folder of this process alone, removed by whoever asked for it: below TMPDIR, or below /tmp where that is too long for
 * sockets or cannot be written to. Rejects with CONFIG_INVALID naming TMPDIR.
 */
export async function temporaryFolder(): Promise<string> {
  const given = tmpdir();
  let fault = `${given}: too long a path for sockets below it`;
  for (const place of new Set([given, '/tmp'])) {
    const path = join(place, 'tributary-check-');
    if (Buffer.byteLength(path) > LONGEST_BYTES) continue;
    try {
      return await mkdtemp(path);
    } catch (error) {
      fault = fileError(error, place).message;
    }
  }
  throw new TributaryError('CONFIG_INVALID', `TMPDIR: ${fault}`, {
    hint: 'set TMPDIR to a folder that this user may write to, with a path of at most 60 bytes',
  });
}
