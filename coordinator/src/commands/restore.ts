import { createReadStream } from 'node:fs';
import { isAbsolute, relative, resolve } from 'node:path';
import type { Readable } from 'node:stream';

import { TributaryError } from '@tributary/proto';
import { isMissing } from '@tributary/proto/node';

import { restoreBackup } from '../adapters/backup/restore.js';
import { requireSealingKey } from '../adapters/vault/sealing-key.js';

export interface RestoreOptions {
  readonly data: string;
  /** A file, or - for `input`. */
  readonly from: string;
  readonly input: Readable;
  readonly sealKeyFile: string | undefined;
  readonly print: (line: string) => void;
}

/** Makes a data directory from a backup, with the sealing key that its keys were sealed with. */
export async function restore({ data, from, input, sealKeyFile, print }: RestoreOptions): Promise<void> {
  if (sealKeyFile === undefined) {
    throw new TributaryError('CONFIG_INVALID', 'a backup does not hold the sealing key', {
      hint: 'pass --seal-key-file FILE: a copy of seal.key of the directory that was backed up',
    });
  }
  requireOutside(data, sealKeyFile);
  const sealingKey = await requireSealingKey(sealKeyFile);
  const restored = await restoreBackup(from === '-' ? input : readBackup(from), data, { sealingKey });
  print(`Restored federation ${restored.identity.name} as of ${restored.createdAt} to ${data}:`);
  print(
    `  ${String(restored.entries)} ledger entries, ${String(restored.blobs)} blobs, ${String(restored.keys)} keys, all verified`,
  );
  print('');
  print(`Next: tributary-coordinator serve --data ${data} --seal-key-file ${sealKeyFile}`);
}

/** The directory comes to be anew, and remains of an attempt before are removed: no place for the only copy of a key. */
function requireOutside(data: string, sealKeyFile: string): void {
  const way = relative(resolve(data), resolve(sealKeyFile));
  if (way.startsWith('..') || isAbsolute(way)) return;
  throw new TributaryError('CONFIG_INVALID', `--seal-key-file: ${sealKeyFile} lies in ${data}`, {
    hint: 'keep the key outside of the directory that is restored',
    fields: { field: '--seal-key-file' },
  });
}

async function* readBackup(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of createReadStream(path)) yield chunk as Uint8Array;
  } catch (error) {
    if (isMissing(error)) throw new TributaryError('NOT_FOUND', `no backup ${path}`, { cause: error });
    throw error;
  }
}
