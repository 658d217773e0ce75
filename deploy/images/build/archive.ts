import { createReadStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

import type { Pack } from 'tar-stream';

import { indexOf, type Layout } from './layout.js';
import { pack } from './tar.js';

/**
 * One file with the image of a layout for all its platforms and nothing besides, for those who import images without a
 * registry: K3s, `ctr images import`, `podman load`.
 */
export async function writeArchive(layout: Layout, file: string): Promise<void> {
  const image = await layout.image();
  const blobs = new Map((await layout.closure(image)).map(({ digest, size }) => [digest, size]));
  const part = `${file}.part`;
  const fill = async (archive: Pack): Promise<void> => {
    await append(archive, 'oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
    await append(archive, 'index.json', Buffer.from(JSON.stringify(indexOf([image]))));
    for (const [digest, size] of [...blobs].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const entry = archive.entry({ ...OWNED, name: `blobs/${digest.replace(':', '/')}`, size });
      await pipeline(createReadStream(layout.pathOf(digest)), entry);
    }
  };
  try {
    await pack(part, fill);
    await rename(part, file);
  } finally {
    await rm(part, { force: true });
  }
}

const OWNED = { mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 } as const;

const append = (archive: Pack, name: string, bytes: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    archive.entry({ ...OWNED, name, size: bytes.length }, bytes, (error) =>
      error ? reject(error) : resolve(),
    );
  });
