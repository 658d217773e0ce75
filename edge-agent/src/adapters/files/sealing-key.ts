import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';

import { decodeBase64, TributaryError } from '@tributary/proto';

import { fileError, writeDurable } from './durable-file.js';

const KEY_BYTES = 32;

/**
 * The 32-byte key under which everything in the data directory is sealed. Where `create` holds, a missing file is made
 * (mode 0600); otherwise it is refused, because a new key opens nothing. The file holds the raw bytes or their base64.
 */
export async function loadSealingKey(path: string, create: boolean): Promise<Uint8Array> {
  const content = await readKey(path, create);
  if (content === undefined) {
    const key = randomBytes(KEY_BYTES);
    await writeDurable(path, [key]);
    return new Uint8Array(key);
  }
  await requirePrivate(path);
  if (content.length === KEY_BYTES) return new Uint8Array(content);
  try {
    return decodeBase64(content.toString('latin1').trim(), 'sealKeyFile', KEY_BYTES);
  } catch {
    throw new TributaryError(
      'CONFIG_INVALID',
      `sealKeyFile ${path}: the file holds 32 bytes, raw or in base64`,
      { fields: { field: 'sealKeyFile' } },
    );
  }
}

async function readKey(path: string, create: boolean): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    const known = fileError(error, `sealKeyFile ${path}`);
    if (known.code === 'NOT_FOUND' && create) return undefined;
    if (known.code !== 'NOT_FOUND') throw known;
    throw new TributaryError(
      'SEAL_BROKEN',
      `sealKeyFile ${path} does not exist, but the data directory was sealed with it; restore the file`,
    );
  }
}

/** A key that everybody on the machine may read seals nothing. Kubernetes mounts secrets readable by the group. */
async function requirePrivate(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o007) === 0) return;
  throw new TributaryError(
    'CONFIG_INVALID',
    `sealKeyFile ${path}: other users may read it; run chmod 600 on it`,
    { fields: { field: 'sealKeyFile' } },
  );
}
