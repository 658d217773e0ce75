import { mkdir, readdir } from 'node:fs/promises';

import { output } from './commands.js';
import type { Layer } from './layer.js';

/**
 * Writes the files of an image into a folder, with the owners that they have there: needs root. Rejects where the folder
 * has anything in it.
 */
export async function unpackLayers(layers: readonly Layer[], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0) throw new Error(`${folder} is not empty`);
  for (const { file } of layers)
    await output('tar', [
      ...['--extract', '--gzip', '--file', file, '--directory', folder],
      ...['--numeric-owner', '--same-owner', '--same-permissions', '--delay-directory-restore'],
    ]);
}
