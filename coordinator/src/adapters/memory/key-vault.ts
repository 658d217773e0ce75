import type { KeyVault } from '../../ports.js';

/** Secrets in memory: for tests. */
export class MemoryKeyVault implements KeyVault {
  readonly #secrets = new Map<string, Uint8Array>();

  put(name: string, secret: Uint8Array): Promise<void> {
    this.#secrets.set(name, secret.slice());
    return Promise.resolve();
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#secrets.get(name)?.slice());
  }

  delete(name: string): Promise<void> {
    this.#secrets.delete(name);
    return Promise.resolve();
  }

  list(): Promise<readonly string[]> {
    return Promise.resolve([...this.#secrets.keys()].sort());
  }
}
