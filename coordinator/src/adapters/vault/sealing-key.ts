import { readFile, stat } from 'node:fs/promises';

import { decodeBase64, encodeBase64, TributaryError } from '@tributary/proto';

import type { Random } from '../../ports.js';
import { diskError, isMissing } from '../files/disk-error.js';
import { writeDurably } from '../files/durable-file.js';

const KEY_BYTES = 32;

/**
 * The sealing key of a file: 32 raw bytes, or their base64 with or without a newline (what a Kubernetes Secret or a
 * text editor leaves). Throws CONFIG_INVALID where the file is missing, of another form, or readable by everybody on the
 * machine: such a key seals nothing. Kubernetes mounts secrets readable by the group.
 */
export async function readSealingKey(path: string): Promise<Uint8Array> {
  const content = await readFile(path).catch((error: unknown) => {
    if (!isMissing(error)) throw diskError(error, path);
    throw new TributaryError('CONFIG_INVALID', `the sealing key file ${path} does not exist`, {
      cause: error,
      hint: 'mount the key with which the data was sealed; without it the sealed keys are lost',
    });
  });
  await requirePrivate(path);
  if (content.length === KEY_BYTES) return new Uint8Array(content);
  try {
    return decodeBase64(content.toString('latin1').trim(), 'sealing key', KEY_BYTES);
  } catch {
    throw new TributaryError(
      'CONFIG_INVALID',
      `the sealing key file ${path} holds neither 32 bytes nor their base64`,
    );
  }
}

/** Reads the key, or draws one and writes it (base64, mode 0600) where the file is missing: when a directory is made. */
export async function createSealingKey(path: string, random: Random): Promise<Uint8Array> {
  const existing = await readFile(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw diskError(error, path);
  });
  if (existing !== undefined) return readSealingKey(path);
  const key = random.bytes(KEY_BYTES);
  await writeDurably(path, [Buffer.from(`${encodeBase64(key)}\n`)]);
  return key;
}

async function requirePrivate(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o007) === 0) return;
  throw new TributaryError(
    'CONFIG_INVALID',
    `the sealing key file ${path} can be read by every user of the machine`,
    { hint: `run chmod 600 ${path}`, fields: { field: 'sealKeyFile' } },
  );
}
