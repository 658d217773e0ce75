import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { PassThrough, Readable, type Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

import { extract, pack as startPack, type Header, type Pack } from 'tar-stream';

import { contentOf, type Entry } from './entries.js';

export interface WrittenTar {
  readonly sha256: string;
  /** Of all files together, as they lie on a disk. */
  readonly unpackedSize: number;
}

/** Writes entries in their order, with `epoch` (seconds since 1970) as the time of each. The same give the same bytes. */
export async function writeTar(entries: readonly Entry[], file: string, epoch: number): Promise<WrittenTar> {
  const hash = createHash('sha256');
  const hashed = new PassThrough();
  hashed.on('data', (chunk: Buffer) => hash.update(chunk));
  let unpackedSize = 0;
  const fill = async (archive: Pack): Promise<void> => {
    for (const entry of entries) unpackedSize += await append(archive, entry, new Date(epoch * 1_000));
  };
  await pack(file, fill, hashed);
  return { sha256: hash.digest('hex'), unpackedSize };
}

/** Writes a tar of what `fill` puts into it. Rejects with what fails first: entries of a file that failed never end. */
export async function pack(
  file: string,
  fill: (archive: Pack) => Promise<void>,
  through: Duplex = new PassThrough(),
): Promise<void> {
  const archive = startPack();
  const written = pipeline(archive, through, createWriteStream(file));
  const filled = fill(archive).then(() => {
    archive.finalize();
    return written;
  });
  try {
    await Promise.race([written, filled]);
  } catch (error) {
    archive.destroy();
    await written.catch(() => undefined);
    throw error;
  }
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

export interface TarMember {
  readonly header: Header;
  readonly content: Buffer;
}

/** Members of a tar whose path `wanted` takes. */
export async function tarMembers(
  tar: Buffer,
  wanted: (path: string) => boolean,
): Promise<readonly TarMember[]> {
  const archive = extract();
  // One chunk would have tar-stream copy what is left of it for every member.
  const read = pipeline(Readable.from(slices(tar)), archive);
  const members: TarMember[] = [];
  for await (const member of archive) {
    if (wanted(member.header.name)) members.push({ header: member.header, content: await buffer(member) });
    else member.resume();
  }
  await read;
  return members;
}

const SLICE_BYTES = 256 * 1024;

function* slices(bytes: Buffer): Generator<Buffer> {
  for (let from = 0; from < bytes.length; from += SLICE_BYTES) yield bytes.subarray(from, from + SLICE_BYTES);
}
