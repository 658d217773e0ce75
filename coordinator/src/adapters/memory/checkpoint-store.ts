import type { CheckpointStore } from '../../ports.js';

/** Checkpoints in memory: for tests. */
export class MemoryCheckpointStore implements CheckpointStore {
  readonly #checkpoints = new Map<string, readonly Uint8Array[]>();

  put(name: string, chunks: Iterable<Uint8Array>): Promise<void> {
    this.#checkpoints.set(
      name,
      Array.from(chunks, (chunk) => chunk.slice()),
    );
    return Promise.resolve();
  }

  get(name: string): AsyncIterable<Uint8Array> | undefined {
    const chunks = this.#checkpoints.get(name);
    return chunks === undefined ? undefined : replay(chunks);
  }

  delete(name: string): Promise<void> {
    this.#checkpoints.delete(name);
    return Promise.resolve();
  }

  list(): Promise<readonly string[]> {
    return Promise.resolve([...this.#checkpoints.keys()].sort());
  }
}

async function* replay(chunks: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk.slice());
}
