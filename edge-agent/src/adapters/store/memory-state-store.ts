import type { StateStore } from '../../ports.js';

/** For tests: the same promises without a disk. */
export class MemoryStateStore implements StateStore {
  readonly #values = new Map<string, Uint8Array>();

  get(key: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#values.get(key)?.slice());
  }

  put(changes: Readonly<Record<string, Uint8Array | undefined>>): Promise<void> {
    for (const [key, value] of Object.entries(changes)) {
      if (value === undefined) this.#values.delete(key);
      else this.#values.set(key, value.slice());
    }
    return Promise.resolve();
  }

  async *list(
    prefix: string,
  ): AsyncGenerator<{ readonly key: string; readonly value: Uint8Array }, void, undefined> {
    await Promise.resolve();
    for (const key of [...this.#values.keys()].sort()) {
      const value = this.#values.get(key);
      if (key.startsWith(prefix) && value !== undefined) yield { key, value: value.slice() };
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
