import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { partOf } from './part.js';

export interface Digest {
  readonly algorithm: 'sha256' | 'sha512';
  readonly hex: string;
}

/** A file of the cache whose digest was recorded before it was fetched. */
export interface Pin {
  /** What it is, for whoever reads a refusal. */
  readonly what: string;
  readonly file: string;
  readonly digest: Digest;
}

/** Something that images are made of is not what was recorded of it. */
export class DamagedInput extends Error {
  override readonly name = 'DamagedInput';
}

export const digestOf = (algorithm: Digest['algorithm'], bytes: Uint8Array): Digest => ({
  algorithm,
  hex: createHash(algorithm).update(bytes).digest('hex'),
});

/** An integrity as registries state it, `sha512-BASE64`; undefined for any other. */
export function sha512Of(integrity: string): Digest | undefined {
  const [, base64 = ''] = /^sha512-([A-Za-z0-9+/]{86}==)$/.exec(integrity) ?? [];
  return base64 === ''
    ? undefined
    : { algorithm: 'sha512', hex: Buffer.from(base64, 'base64').toString('hex') };
}

const written = ({ algorithm, hex }: Digest): string => `${algorithm}:${hex}`;

/** Throws where the bytes have another digest. */
function hold({ what, digest }: Pin, place: string, bytes: Uint8Array): void {
  const found = digestOf(digest.algorithm, bytes);
  if (found.hex !== digest.hex)
    throw new DamagedInput(`${what}: ${place} is ${written(found)}, and ${written(digest)} was recorded`);
}

/** What lies in the cache, or why it is of no use: undefined where nothing does. */
async function kept(pin: Pin): Promise<Buffer | DamagedInput | undefined> {
  try {
    const bytes = await readFile(pin.file);
    hold(pin, pin.file, bytes);
    return bytes;
  } catch (error) {
    if (error instanceof DamagedInput) return error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * The content of a file of the cache, held against its digest on every use. What is missing or damaged is fetched, once, into
 * a folder of its own, and takes its place when it is whole and right. Rejects with DamagedInput where it is not.
 */
export async function pinned(pin: Pin, fetch: (folder: string) => Promise<string>): Promise<Buffer> {
  const found = await kept(pin);
  if (Buffer.isBuffer(found)) return found;
  await mkdir(dirname(pin.file), { recursive: true });
  const part = partOf(dirname(pin.file));
  try {
    await mkdir(part);
    const fetched = await fetch(part);
    const bytes = await readFile(fetched);
    hold(pin, 'what was fetched', bytes);
    await rename(fetched, pin.file);
    return bytes;
  } catch (error) {
    if (found === undefined) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new DamagedInput(`${found.message}; fetched again: ${reason}`, { cause: error });
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}
