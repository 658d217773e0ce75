import { createReadStream } from 'node:fs';

import { LIMITS, openStream, sealStream, TributaryError } from '@tributary/proto';
import { diskError } from '@tributary/proto/node';

import type { CheckpointStore } from '../../ports.js';
import { NamedFiles } from '../files/named-files.js';

/**
 * Checkpoints as sealed files `<name>.sealed`. They are sums, but the sum of a first update is that update: hence
 * sealed, which checks their integrity too. A new one takes the place of the old one at once or not at all.
 */
export class SealedCheckpointStore implements CheckpointStore {
  readonly #files: NamedFiles;
  readonly #key: Uint8Array;

  private constructor(files: NamedFiles, key: Uint8Array) {
    this.#files = files;
    this.#key = key;
  }

  /** Opens or creates the store. `sealingKey`: 32 bytes. */
  static async open(directory: string, sealingKey: Uint8Array): Promise<SealedCheckpointStore> {
    return new SealedCheckpointStore(await NamedFiles.open(directory, '.sealed'), sealingKey.slice());
  }

  put(name: string, chunks: Iterable<Uint8Array>): Promise<void> {
    return this.#files.write(name, sealStream(this.#seal(name), chunks));
  }

  /** Reading rejects with STORE_CORRUPT where the file was altered or cut: act on the content only after its end. */
  get(name: string): AsyncIterable<Uint8Array> | undefined {
    return this.#files.has(name) ? this.#read(name) : undefined;
  }

  delete(name: string): Promise<void> {
    return this.#files.remove(name);
  }

  list(): Promise<readonly string[]> {
    return this.#files.list();
  }

  async *#read(name: string): AsyncIterable<Uint8Array> {
    const file = createReadStream(this.#files.path(name), { highWaterMark: LIMITS.chunkBytes });
    try {
      yield* openStream(this.#seal(name), file);
    } catch (error) {
      if (!(error instanceof TributaryError)) throw diskError(error, `checkpoint ${name}`);
      if (error.code !== 'SEAL_BROKEN') throw error;
      throw new TributaryError('STORE_CORRUPT', `checkpoint ${name} was altered`, {
        cause: error,
        fields: { name },
      });
    } finally {
      file.destroy();
    }
  }

  #seal(name: string): { readonly key: Uint8Array; readonly name: string } {
    return { key: this.#key, name: `checkpoints/${name}` };
  }
}
