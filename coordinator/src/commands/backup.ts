import { stat } from 'node:fs/promises';

import { TributaryError } from '@tributary/proto';

import { dataPaths } from '../adapters/data-directory.js';
import { writeDurably } from '../adapters/files/durable-file.js';
import { streamBackupOf } from '../adapters/grpc/backup-client.js';
import { readAddresses } from './addresses.js';
import { openCore } from './core.js';
import { backupOf } from './listeners.js';

export interface BackupOptions {
  readonly data: string;
  readonly to: string;
  readonly sealKeyFile: string | undefined;
  readonly print: (line: string) => void;
}

/** Writes a backup: by the daemon where one runs, otherwise from the directory. */
export async function backup(options: BackupOptions): Promise<void> {
  const { data, to, print } = options;
  await requireFile(to);
  const paths = dataPaths(data);
  const socket = (await readAddresses(paths.run))?.socket;
  const byDaemon = socket !== undefined && (await throughSocket(socket, to));
  if (!byDaemon) await offline(options);
  print(`Backup of ${data} written to ${to}${byDaemon ? ' by the running daemon' : ''}.`);
  print('The sealing key is not part of it; without that key a backup is of no use:');
  print(`  keep a copy of ${options.sealKeyFile ?? paths.sealKey} in another place`);
}

/** A backup takes the place of what is there: that must not be a directory, or a device such as a tape or /dev/null. */
async function requireFile(to: string): Promise<void> {
  const found = await stat(to).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  throw new TributaryError('CONFIG_INVALID', `--to: ${to} is not a file`, { fields: { field: '--to' } });
}

/** False where no daemon listens: addresses outlive the process that wrote them. */
async function throughSocket(socket: string, to: string): Promise<boolean> {
  try {
    await writeDurably(to, streamBackupOf(socket));
    return true;
  } catch (error) {
    if (error instanceof TributaryError && error.code === 'UNAVAILABLE') return false;
    throw error;
  }
}

async function offline({ data, to, sealKeyFile }: BackupOptions): Promise<void> {
  const core = await openCore({ data, sealKeyFile, onFault: () => undefined });
  try {
    await writeDurably(to, backupOf(core));
  } finally {
    await core.close();
  }
}
