import { randomBytes } from 'node:crypto';

import { TributaryError } from '@tributary/proto';
import { readSealingKey, SEALING_KEY_BYTES, writeDurably } from '@tributary/proto/node';

/**
 * The 32-byte key under which everything in the data directory is sealed. Where `create` holds, a missing file is made
 * (mode 0600); otherwise it is refused with SEAL_BROKEN, because a new key opens nothing. Rejects as `readSealingKey` does.
 */
export async function loadSealingKey(path: string, create: boolean): Promise<Uint8Array> {
  const known = await readSealingKey(path);
  if (known !== undefined) return known;
  if (!create)
    throw new TributaryError(
      'SEAL_BROKEN',
      `the sealing key file ${path} does not exist, but the data directory was sealed with it; restore the file`,
    );
  const key = randomBytes(SEALING_KEY_BYTES);
  await writeDurably(path, [key]);
  return new Uint8Array(key);
}
