import { open, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Level } from 'level';

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

/** Has the value of `key` stand in a table of a closed LevelDB as it is, so that it is found there; gives the value. */
export async function uncompressed(directory: string, key: string): Promise<Uint8Array> {
  // The types are those of every platform; Node's has these too.
  const options = { valueEncoding: 'view', compression: false } as const;
  const level = new Level<string, Uint8Array>(directory, options) as Level<string, Uint8Array> & {
    compactRange(start: string, end: string): Promise<void>;
  };
  const value = await level.get(key);
  if (value === undefined) throw new Error(`${key} is not there`);
  await level.put(key, value);
  await level.compactRange('', '~');
  await level.close();
  return value;
}

/** Inverts a bit of `search` where it lies in the tables of a LevelDB that another process has open, and mapped. */
export async function flipUnderReader(directory: string, search: Uint8Array): Promise<void> {
  let found = 0;
  for (const name of await readdir(directory)) {
    if (!name.endsWith('.ldb')) continue;
    const at = (await readFile(join(directory, name))).indexOf(search);
    if (at < 0) continue;
    found += 1;
    const middle = search.length >> 1;
    const file = await open(join(directory, name), 'r+');
    await file.write(Buffer.from([(search[middle] ?? 0) ^ 1]), 0, 1, at + middle);
    await file.close();
  }
  if (found === 0) throw new Error('the bytes to damage were not found');
}
