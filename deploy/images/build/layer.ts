import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { arranged, type Entry } from './entries.js';
import { partOf } from './part.js';
import { writeTar } from './tar.js';

export interface Layer {
  /** Of the tar itself. */
  readonly diffId: string;
  /** Of the compressed tar. */
  readonly digest: string;
  readonly size: number;
  /** Of all files together, as they lie on a disk. */
  readonly unpackedSize: number;
  /** The compressed tar. */
  readonly file: string;
  readonly comment: string;
}

export interface LayerPlace {
  /** Compressed layers by the digest of what is in them. */
  readonly folder: string;
  /** Compress again what lies there. */
  readonly fresh: boolean;
  /** Seconds since 1970: the time of every file. */
  readonly epoch: number;
}

const sha256Of = async (file: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
};

/** A layer of these entries. The same entries give the same bytes: sorted, owned by root, of one time. */
export async function makeLayer(
  comment: string,
  entries: readonly Entry[],
  { folder, fresh, epoch }: LayerPlace,
): Promise<Layer> {
  await mkdir(folder, { recursive: true });
  const tar = partOf(folder);
  try {
    const { sha256, unpackedSize } = await writeTar(arranged(entries), tar, epoch);
    const kept = fresh ? undefined : await compressedBefore(folder, sha256);
    const { file, digest } = kept ?? (await compress(tar, folder, sha256));
    const { size } = await stat(file);
    return { comment, unpackedSize, file, size, diffId: `sha256:${sha256}`, digest: `sha256:${digest}` };
  } finally {
    await rm(tar, { force: true });
  }
}

interface Compressed {
  readonly file: string;
  /** SHA-256 of it, in hexadecimal digits. */
  readonly digest: string;
}

/** What was compressed of a tar, with the digest of then in its name; layouts share the file, and may have changed it. */
async function compressedBefore(folder: string, sha256: string): Promise<Compressed | undefined> {
  for (const name of (await readdir(folder)).sort()) {
    const [, tar, digest = ''] = /^([0-9a-f]{64})-([0-9a-f]{64})\.tar\.gz$/.exec(name) ?? [];
    if (tar !== sha256) continue;
    const file = join(folder, name);
    if ((await sha256Of(file)) === digest) return { file, digest };
    await rm(file);
  }
  return undefined;
}

/**
 * GNU gzip, whose bytes are the same on every processor; zlib's, as Node.js has it, are not: it takes what instructions
 * there are to find matches.
 */
async function compress(tar: string, folder: string, sha256: string): Promise<Compressed> {
  const part = partOf(folder);
  const output = await open(part, 'w');
  try {
    const child = spawn('gzip', ['--no-name', '-6', '--stdout', tar], {
      stdio: ['ignore', output.fd, 'inherit'],
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`gzip ended with ${String(code)}`);
    const digest = await sha256Of(part);
    const file = join(folder, `${sha256}-${digest}.tar.gz`);
    await rename(part, file);
    return { file, digest };
  } finally {
    await output.close();
    await rm(part, { force: true });
  }
}
