import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { pack, type Pack } from 'tar-stream';

import { arranged, contentOf, type Entry } from './entries.js';

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
  return `sha256:${hash.digest('hex')}`;
};

/** A layer of these entries. The same entries give the same bytes: sorted, owned by root, of one time. */
export async function makeLayer(
  comment: string,
  entries: readonly Entry[],
  { folder, fresh, epoch }: LayerPlace,
): Promise<Layer> {
  await mkdir(folder, { recursive: true });
  const tar = join(folder, `part-${randomUUID()}`);
  try {
    const { diffId, unpackedSize } = await writeTar(arranged(entries), tar, epoch);
    const file = join(folder, `${diffId.replace(':', '-')}.tar.gz`);
    if (fresh || !existsSync(file)) await compress(tar, file);
    return {
      diffId,
      unpackedSize,
      file,
      comment,
      digest: await sha256Of(file),
      size: (await stat(file)).size,
    };
  } finally {
    await rm(tar, { force: true });
  }
}

async function writeTar(
  entries: readonly Entry[],
  file: string,
  epoch: number,
): Promise<{ readonly diffId: string; readonly unpackedSize: number }> {
  const archive = pack();
  const hash = createHash('sha256');
  const hashed = new PassThrough();
  hashed.on('data', (chunk: Buffer) => hash.update(chunk));
  const written = pipeline(archive, hashed, createWriteStream(file));
  let unpackedSize = 0;
  for (const entry of entries) unpackedSize += await append(archive, entry, new Date(epoch * 1_000));
  archive.finalize();
  await written;
  return { diffId: `sha256:${hash.digest('hex')}`, unpackedSize };
}

async function append(archive: Pack, entry: Entry, mtime: Date): Promise<number> {
  const name = entry.path;
  if (entry.kind === 'folder') {
    const { mode = 0o755, owner = 0 } = entry;
    archive.entry({ name: `${name}/`, type: 'directory', mode, uid: owner, gid: owner, mtime });
    return 0;
  }
  const owned = { name, uid: 0, gid: 0, mtime };
  if (entry.kind === 'link') {
    archive.entry({ ...owned, type: 'symlink', linkname: entry.target, mode: 0o777 });
    return 0;
  }
  const content = await contentOf(entry);
  const mode = entry.executable === true ? 0o755 : 0o644;
  await new Promise<void>((resolve, reject) => {
    archive.entry({ ...owned, type: 'file', mode, size: content.length }, content, (error) =>
      error ? reject(error) : resolve(),
    );
  });
  return content.length;
}

/**
 * GNU gzip, whose bytes are the same on every processor; zlib's, as Node.js has it, are not: it takes what instructions
 * there are to find matches.
 */
async function compress(tar: string, file: string): Promise<void> {
  const part = `${file}.${randomUUID()}`;
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
    await rename(part, file);
  } finally {
    await output.close();
    await rm(part, { force: true });
  }
}
