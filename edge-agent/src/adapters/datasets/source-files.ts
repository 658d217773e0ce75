import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { LIMITS, TributaryError } from '@tributary/proto';

import type { SourceFiles } from '../../domain/datasets/declaration.js';
import { unreadable } from './dataset-faults.js';

/**
 * The files of a source, those of a pattern in the order of their names (by code unit, so the same everywhere). Throws
 * DATASET_UNKNOWN where there is none, DATASET_INVALID where one cannot be read, LIMIT_EXCEEDED beyond LIMITS.datasetFiles.
 */
export async function filesOf(source: SourceFiles): Promise<readonly string[]> {
  const files = source.path === undefined ? await matching(source.glob ?? '') : [source.path];
  if (files.length > LIMITS.datasetFiles)
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `source ${source.name}: at most ${String(LIMITS.datasetFiles)} files`,
    );
  for (const file of files) await requireFile(file);
  return files;
}

/** What changes when a file does: inode, size, times. */
export async function versionOf(file: string): Promise<string> {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  return found === undefined ? '' : [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(':');
}

async function matching(glob: string): Promise<readonly string[]> {
  const pattern = new RegExp(
    `^${basename(glob)
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
    'su',
  );
  const folder = dirname(glob);
  const names = await readdir(folder).catch((error: unknown) => {
    throw unreadable(error);
  });
  const found = names.filter((name) => pattern.test(name)).sort();
  if (found.length === 0)
    throw new TributaryError('DATASET_UNKNOWN', 'no file matches the glob of the dataset', {
      fields: { fault: 'NoFile' },
      hint: 'check datasets[].glob in the configuration of the agent',
    });
  return found.map((name) => join(folder, name));
}

async function requireFile(path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    throw unreadable(error);
  });
  if (!found.isFile())
    throw unreadable(
      Object.assign(new Error('not a file'), { code: found.isDirectory() ? 'EISDIR' : 'ENOTFILE' }),
    );
}
