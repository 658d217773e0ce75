import { Readable } from 'node:stream';

import { TributaryError } from '@tributary/proto';
import { extract } from 'tar-stream';

import { corruptBackup } from './backup-format.js';

/** One file of an archive. Its content is read before the next member is asked for. */
export interface TarMember {
  readonly name: string;
  readonly size: number;
  readonly content: AsyncIterable<Uint8Array>;
}

/**
 * The plain files of a tar stream. Rejects with STORE_CORRUPT for a stream that is cut or no tar, and for links, devices
 * and directories, which a backup never has; errors of the source pass unchanged.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<TarMember, void, undefined> {
  const input = Readable.from(source, { objectMode: false });
  const archive = extract();
  let sourceError: Error | undefined;
  input.on('error', (error) => {
    sourceError = error;
    archive.destroy(error);
  });
  input.pipe(archive);
  const translate = (error: unknown, isCut = false): unknown => {
    if (sourceError !== undefined || error instanceof TributaryError) return sourceError ?? error;
    const message = error instanceof Error ? error.message : String(error);
    // What the package says of a stream that ends between or within headers.
    const early = isCut || message === 'Unexpected end of data';
    return corruptBackup(early ? 'it ends early' : message, error);
  };
  try {
    for await (const entry of archive) {
      const { name, size, type } = entry.header;
      if (type !== 'file' || size === undefined) throw corruptBackup(`${name} is not a plain file`);
      // The package's types lean on streamx, which has none: entries are readable streams of bytes.
      yield {
        name,
        size,
        content: contentOf(entry as unknown as AsyncIterable<Uint8Array>, size, translate),
      };
    }
  } catch (error) {
    throw translate(error);
  } finally {
    input.destroy();
    archive.destroy();
  }
}

async function* contentOf(
  content: AsyncIterable<Uint8Array>,
  size: number,
  translate: (error: unknown, isCut: boolean) => unknown,
): AsyncGenerator<Uint8Array, void, undefined> {
  let received = 0;
  try {
    for await (const chunk of content) {
      received += chunk.length;
      yield chunk;
    }
  } catch (error) {
    throw translate(error, received < size);
  }
}
