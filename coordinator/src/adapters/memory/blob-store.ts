import { digestOf, LIMITS, TributaryError, type Digest } from '@tributary/proto';

import type { BlobStore } from '../../ports.js';

/** Blobs in memory: for tests, and for trying things out. */
export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<Digest, Uint8Array>();

  async put(
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<{ digest: Digest; size: number }> {
    const parts: Uint8Array[] = [];
    // Producers reuse their buffers between chunks, as files let them.
    for await (const part of content) parts.push(part.slice());
    const bytes = new Uint8Array(Buffer.concat(parts));
    const digest = digestOf(bytes);
    this.#blobs.set(digest, bytes);
    return { digest, size: bytes.length };
  }

  size(digest: Digest): Promise<number | undefined> {
    return Promise.resolve(this.#blobs.get(digest)?.length);
  }

  read(digest: Digest): AsyncIterable<Uint8Array> {
    return this.readStored(digest, 0);
  }

  async *readStored(digest: Digest, offset: number): AsyncIterable<Uint8Array> {
    const bytes = this.#blobs.get(digest);
    if (bytes === undefined) throw new TributaryError('NOT_FOUND', `no blob ${digest}`);
    for (let at = offset; at < bytes.length; at += LIMITS.chunkBytes) {
      yield await Promise.resolve(bytes.slice(at, at + LIMITS.chunkBytes));
    }
  }

  delete(digest: Digest): Promise<void> {
    this.#blobs.delete(digest);
    return Promise.resolve();
  }

  async *list(): AsyncIterable<Digest> {
    for (const digest of [...this.#blobs.keys()]) yield await Promise.resolve(digest);
  }
}
