import { LIMITS, TributaryError } from '@tributary/proto';
import type { Chunks } from '@tributary/proto/node';

import type { OutboxFiles } from '../../ports.js';

/** For tests: the same promises without a disk. */
export class MemoryOutbox implements OutboxFiles {
  readonly #files = new Map<string, Uint8Array>();

  readSealed(name: string): AsyncIterable<Uint8Array> {
    return this.read(name, 0, LIMITS.chunkBytes);
  }

  async writeSealed(name: string, chunks: Chunks): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk.slice());
    this.#files.set(name, new Uint8Array(Buffer.concat(parts)));
  }

  async *writeThrough(
    name: string,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const source = chunks[Symbol.asyncIterator]();
    this.#files.set(name, new Uint8Array(0));
    try {
      for (let next = await this.#append(name, source); next !== undefined;) {
        yield next;
        next = await this.#append(name, source);
      }
    } finally {
      while ((await this.#append(name, source)) !== undefined);
    }
  }

  async *read(name: string, offset: number, pieceBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    await Promise.resolve();
    const file = this.#files.get(name);
    if (file === undefined) throw new TributaryError('NOT_FOUND', `${name}: does not exist`);
    for (let at = offset; at < file.length; at += pieceBytes) yield file.slice(at, at + pieceBytes);
  }

  has(name: string): Promise<boolean> {
    return Promise.resolve(this.#files.has(name));
  }

  remove(name: string): Promise<void> {
    this.#files.delete(name);
    return Promise.resolve();
  }

  list(): Promise<readonly string[]> {
    return Promise.resolve([...this.#files.keys()]);
  }

  async #append(name: string, source: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
    try {
      const next = await source.next();
      if (next.done === true) return undefined;
      const before = this.#files.get(name) ?? new Uint8Array(0);
      this.#files.set(name, new Uint8Array(Buffer.concat([before, next.value])));
      return next.value;
    } catch (error) {
      this.#files.delete(name);
      throw error;
    }
  }
}
