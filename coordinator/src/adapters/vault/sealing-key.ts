import { encodeBase64, TributaryError } from '@tributary/proto';
import { readSealingKey, SEALING_KEY_BYTES, writeDurably } from '@tributary/proto/node';

import type { Random } from '../../ports.js';

/** The sealing key of a file that must be there. Rejects with CONFIG_INVALID where it is not, and as `readSealingKey` does. */
export async function requireSealingKey(path: string): Promise<Uint8Array> {
  const key = await readSealingKey(path);
  if (key !== undefined) return key;
  throw new TributaryError('CONFIG_INVALID', `the sealing key file ${path} does not exist`, {
    hint: 'mount the key with which the data was sealed; without it the sealed keys are lost',
  });
}

/** Reads the key, or draws one and writes it (base64, mode 0600) where the file is missing: when a directory is made. */
export async function createSealingKey(path: string, random: Random): Promise<Uint8Array> {
  const existing = await readSealingKey(path);
  if (existing !== undefined) return existing;
  const key = random.bytes(SEALING_KEY_BYTES);
  await writeDurably(path, [Buffer.from(`${encodeBase64(key)}\n`)]);
  return key;
}
