import { TributaryError } from '@tributary/proto';

import type { OutboxFiles } from '../../ports.js';
import type { Chunks } from './durable-file.js';

/** For tests: the same promises without a disk. */
export class MemoryOutbox implements OutboxFiles {
  readonly #files = new Map<string, Uint8Array>();

  writeSealed(name: string, chunks: Chunks): Promise<void> {
    return this.write(name, chunks);
  }

  readSealed(name: string): AsyncIterable<Uint8Array> {
    return this.read(name, 0, Number.MAX_SAFE_INTEGER);
  }

  async write(name: string, chunks: Chunks): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk.slice());
    this.#files.set(name, new Uint8Array(Buffer.concat(parts)));
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
}
