import { Readable } from 'node:stream';

import { tarEnd, tarHeader, tarPadding } from '@tributary/coordinator/internal/adapters/backup/tar.js';
import { extract } from 'tar-stream';

import { collect } from './bytes.js';

export interface Member {
  readonly name: string;
  readonly content: Buffer;
}

/** Reads a tar with the package that the world uses. */
export async function unpack(bytes: Buffer): Promise<Member[]> {
  const archive = extract();
  Readable.from([bytes]).pipe(archive);
  const members: Member[] = [];
  for await (const entry of archive) {
    const content = await collect(entry as unknown as AsyncIterable<Uint8Array>);
    members.push({ name: entry.header.name, content: Buffer.from(content) });
  }
  return members;
}

export function repack(members: readonly Member[]): Buffer {
  const parts = members.flatMap(({ name, content }) => [
    tarHeader(name, content.length),
    content,
    tarPadding(content.length),
  ]);
  return Buffer.concat([...parts, tarEnd()]);
}

/** Where the first member of an archive ends. */
export function endOfFirstMember(bytes: Buffer): number {
  const size = Number.parseInt(bytes.toString('latin1', 124, 135), 8);
  return 512 + Math.ceil(size / 512) * 512;
}

/** Makes the checksum of an altered header right again. */
export function fixChecksum(header: Buffer): void {
  header.write('        ', 148);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
}
