import { TributaryError } from '@tributary/proto';

import type { Spool, SpoolHeader, SpoolStore } from '../../ports.js';

interface Stored {
  readonly header: SpoolHeader;
  readonly chunks: Uint8Array[];
}

/** Spools in memory: for tests. What a process "leaves behind" stays in the object. */
export class MemorySpoolStore implements SpoolStore {
  readonly #spools = new Map<string, Stored>();

  create(header: SpoolHeader): Promise<Spool> {
    if (this.#spools.has(header.uploadId)) {
      return Promise.reject(new TributaryError('ALREADY_EXISTS', `spool ${header.uploadId} exists`));
    }
    const stored: Stored = { header: structuredClone(header), chunks: [] };
    this.#spools.set(header.uploadId, stored);
    return Promise.resolve(new MemorySpool(stored));
  }

  open(uploadId: string): Promise<Spool | undefined> {
    const stored = this.#spools.get(uploadId);
    return Promise.resolve(stored === undefined ? undefined : new MemorySpool(stored));
  }

  remove(uploadId: string): Promise<void> {
    this.#spools.delete(uploadId);
    return Promise.resolve();
  }

  list(): Promise<readonly string[]> {
    return Promise.resolve([...this.#spools.keys()]);
  }
}

class MemorySpool implements Spool {
  readonly #stored: Stored;
  #open = true;

  constructor(stored: Stored) {
    this.#stored = stored;
  }

  get header(): SpoolHeader {
    return this.#stored.header;
  }

  chunkCount(): number {
    return this.#stored.chunks.length;
  }

  append(chunk: Uint8Array): Promise<void> {
    if (!this.#open) return Promise.reject(new TributaryError('INTERNAL', 'the spool is closed'));
    this.#stored.chunks.push(chunk.slice());
    return Promise.resolve();
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  truncate(count: number): Promise<void> {
    this.#stored.chunks.splice(count);
    return Promise.resolve();
  }

  async *chunks(): AsyncIterable<Uint8Array> {
    for (const chunk of [...this.#stored.chunks]) yield await Promise.resolve(chunk.slice());
  }

  close(): Promise<void> {
    this.#open = false;
    return Promise.resolve();
  }
}
