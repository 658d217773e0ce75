import { stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';

import { TributaryError } from '@tributary/proto';
import { diskError, writeDurably, type Chunks } from '@tributary/proto/node';

import { dataPaths } from '../adapters/data-directory.js';
import { streamBackupOf } from '../adapters/grpc/local-client.js';
import { readAddresses } from './addresses.js';
import { openCore } from './core.js';
import { backupOf } from './listeners.js';

export interface BackupOptions {
  readonly data: string;
  /** A file, or - for `output`. */
  readonly to: string;
  readonly output: Writable;
  readonly sealKeyFile: string | undefined;
  readonly print: (line: string) => void;
}

/** Takes what a backup is made of, and resolves when it is out. */
type Sink = (chunks: Chunks) => Promise<void>;

/** Writes a backup: by the daemon where one runs, otherwise from the directory. */
export async function backup(options: BackupOptions): Promise<void> {
  const { data, to, output, print } = options;
  const sink = await sinkOf(to, output);
  const paths = dataPaths(data);
  const socket = (await readAddresses(paths.run))?.socket;
  const byDaemon = socket !== undefined && (await throughSocket(socket, sink));
  if (!byDaemon) await offline(options, sink);
  const where = to === '-' ? 'standard output' : to;
  print(`Backup of ${data} written to ${where}${byDaemon ? ' by the running daemon' : ''}.`);
  print('The sealing key is not part of it; without that key a backup is of no use:');
  print(`  keep a copy of ${options.sealKeyFile ?? paths.sealKey} in another place`);
}

async function sinkOf(to: string, output: Writable): Promise<Sink> {
  if (to === '-') return (chunks) => writeOut(output, chunks);
  await requireFile(to);
  return (chunks) => writeDurably(to, chunks);
}

/** A backup takes the place of what is there: that must not be a directory, or a device such as a tape or /dev/null. */
async function requireFile(to: string): Promise<void> {
  const found = await stat(to).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  throw new TributaryError('CONFIG_INVALID', `--to: ${to} is not a file`, { fields: { field: '--to' } });
}

/** What is out stays out: whoever reads learns by the exit code, and by the end that is missing, that it is not whole. */
async function writeOut(output: Writable, chunks: Chunks): Promise<void> {
  // The callback of each write has the error; unheard, it would end the process.
  output.on('error', () => undefined);
  for await (const chunk of chunks)
    await new Promise<void>((resolve, reject) => {
      output.write(chunk, (error) => {
        if (error) reject(diskError(error, 'standard output'));
        else resolve();
      });
    });
}

/** False where no daemon listens: addresses outlive the process that wrote them. */
async function throughSocket(socket: string, sink: Sink): Promise<boolean> {
  let begun = false;
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of streamBackupOf(socket)) {
      begun = true;
      yield chunk;
    }
  };
  try {
    await sink(chunks());
    return true;
  } catch (error) {
    if (!begun && error instanceof TributaryError && error.code === 'UNAVAILABLE') return false;
    throw error;
  }
}

async function offline({ data, sealKeyFile }: BackupOptions, sink: Sink): Promise<void> {
  const core = await openCore({ data, sealKeyFile, onFault: () => undefined });
  try {
    await sink(backupOf(core));
  } finally {
    await core.close();
  }
}
