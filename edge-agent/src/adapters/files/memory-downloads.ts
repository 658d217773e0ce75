import type { Digest } from '@tributary/proto';

import type { DownloadStore, KeptDownload } from '../../transfer-ports.js';

/** Downloads in memory: for tests. */
export class MemoryDownloads implements DownloadStore {
  readonly #pieces = new Map<Digest, Uint8Array[]>();
  readonly #open = new Set<Digest>();

  open(digest: Digest): Promise<KeptDownload> {
    const kept = this.#open.has(digest) ? [] : (this.#pieces.get(digest) ?? []);
    const owned = !this.#open.has(digest);
    if (owned) this.#pieces.set(digest, kept);
    this.#open.add(digest);
    const close = (): Promise<void> => {
      if (owned) this.#open.delete(digest);
      return Promise.resolve();
    };
    return Promise.resolve({
      read: async function* () {
        await Promise.resolve();
        yield* [...kept];
      },
      append: (piece) => {
        if (owned) kept.push(Uint8Array.from(piece));
        return Promise.resolve();
      },
      close,
      discard: async () => {
        if (owned) this.#pieces.delete(digest);
        await close();
      },
    });
  }
}
