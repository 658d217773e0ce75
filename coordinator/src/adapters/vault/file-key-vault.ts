import { openBytes, sealBytes, type SealOptions } from '@tributary/proto';

import type { KeyVault } from '../../ports.js';
import { NamedFiles } from '../files/named-files.js';

/**
 * Secrets as files `<name>.sealed` under the sealing key. The seal covers the name, so that no file can take another's
 * place.
 */
export class FileKeyVault implements KeyVault {
  readonly #files: NamedFiles;
  readonly #key: Uint8Array;

  private constructor(files: NamedFiles, key: Uint8Array) {
    this.#files = files;
    this.#key = key;
  }

  /** Opens or creates the vault. `sealingKey`: 32 bytes. */
  static async open(directory: string, sealingKey: Uint8Array): Promise<FileKeyVault> {
    return new FileKeyVault(await NamedFiles.open(directory, '.sealed'), sealingKey.slice());
  }

  async put(name: string, secret: Uint8Array): Promise<void> {
    await this.#files.write(name, [sealBytes(this.#seal(name), secret)]);
  }

  /** Rejects with SEAL_BROKEN for another sealing key or an altered file, FORMAT_UNSUPPORTED for a newer format. */
  async get(name: string): Promise<Uint8Array | undefined> {
    const sealed = await this.#files.read(name);
    return sealed === undefined ? undefined : openBytes(this.#seal(name), sealed);
  }

  delete(name: string): Promise<void> {
    return this.#files.remove(name);
  }

  list(): Promise<readonly string[]> {
    return this.#files.list();
  }

  /** The secret as it lies on the disk, for a backup. */
  getSealed(name: string): Promise<Uint8Array | undefined> {
    return this.#files.read(name);
  }

  /**
   * Takes a secret over from a backup. Rejects with SEAL_BROKEN unless it opens under the name and the sealing key of
   * this vault.
   */
  async putSealed(name: string, sealed: Uint8Array): Promise<void> {
    openBytes(this.#seal(name), sealed).fill(0);
    await this.#files.write(name, [sealed]);
  }

  #seal(name: string): SealOptions {
    return { key: this.#key, name: `keys/${name}`, path: this.#files.path(name) };
  }
}
