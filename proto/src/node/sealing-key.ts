import { readFile, stat } from 'node:fs/promises';

import { decodeBase64 } from '../byte-text.js';
import { TributaryError } from '../errors/tributary-error.js';
import { diskError, isMissing } from './disk-error.js';

export const SEALING_KEY_BYTES = 32;

const FIELD = { field: 'sealKeyFile' };

/**
 * The sealing key of a file: 32 raw bytes, or their base64 with or without a newline (what a Kubernetes Secret or a text
 * editor leaves). Undefined where there is no such file. Rejects with CONFIG_INVALID where it is of another form, or readable
 * by everybody on the machine: such a key seals nothing.
 */
export async function readSealingKey(path: string): Promise<Uint8Array | undefined> {
  let content: Buffer;
  try {
    content = await readFile(path);
    await requirePrivate(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw diskError(error, `the sealing key file ${path}`);
  }
  if (content.length === SEALING_KEY_BYTES) return new Uint8Array(content);
  try {
    return decodeBase64(content.toString('latin1').trim(), FIELD.field, SEALING_KEY_BYTES);
  } catch {
    throw new TributaryError(
      'CONFIG_INVALID',
      `the sealing key file ${path} holds neither 32 bytes nor their base64`,
      { fields: FIELD },
    );
  }
}

/** Kubernetes mounts secrets readable by the group. */
async function requirePrivate(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o007) === 0) return;
  throw new TributaryError(
    'CONFIG_INVALID',
    `the sealing key file ${path} can be read by every user of the machine`,
    { hint: `run chmod 600 ${path}`, fields: FIELD },
  );
}
