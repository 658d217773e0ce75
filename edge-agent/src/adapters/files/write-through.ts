import { open, rm } from 'node:fs/promises';

import { FILE_MODE, writeFully } from '@tributary/proto/node';

import { fileError } from './file-error.js';

/**
 * Writes `path` with mode 0600 and yields each chunk once it is written. Whoever stops early waits until the rest is
 * written too; where that fails nothing is left. Not synced.
 */
export async function* writeThrough(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const written = writeEach(path, chunks);
  try {
    for (let next = await written.next(); next.done !== true; next = await written.next()) yield next.value;
  } finally {
    while ((await written.next()).done !== true);
  }
}

async function* writeEach(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const file = await open(path, 'w', FILE_MODE);
    try {
      for await (const chunk of chunks) {
        await writeFully(file, chunk);
        yield chunk;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(path, { force: true });
    throw fileError(error, path);
  }
}
