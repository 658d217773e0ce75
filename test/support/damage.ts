import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Inverts one bit of a file. */
export async function flipBit(path: string, byte: number, bit = 0): Promise<void> {
  const content = await readFile(path);
  content[byte] = (content[byte] ?? 0) ^ (1 << bit);
  await writeFile(path, content);
}

/** Replaces the one place in the files of `directory` where `search` stands; throws where there is none. */
export async function flipBitIn(directory: string, search: Uint8Array): Promise<string> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const content = await readFile(path).catch(() => Buffer.alloc(0));
    const at = content.indexOf(search);
    if (at < 0) continue;
    await flipBit(path, at + (search.length >> 1));
    return path;
  }
  throw new Error('the bytes to damage were not found');
}

/** Cuts the last `bytes` off a file. */
export async function cutTail(path: string, bytes: number): Promise<void> {
  await truncate(path, (await readFile(path)).length - bytes);
}
