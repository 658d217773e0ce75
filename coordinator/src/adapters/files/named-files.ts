import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { requireName } from '@tributary/proto';
import {
  diskError,
  isMissing,
  isTemporaryName,
  makeDirectory,
  syncDirectory,
  writeDurably,
  type Chunks,
} from '@tributary/proto/node';

/**
 * Files of one directory by name, each replaced atomically and durably. Changes of one process happen in the order in
 * which they were asked for.
 */
export class NamedFiles {
  readonly #directory: string;
  readonly #extension: string;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(directory: string, extension: string) {
    this.#directory = directory;
    this.#extension = extension;
  }

  /** Opens or creates the directory and sweeps what a crash left unfinished. `extension` begins with a dot. */
  static async open(directory: string, extension: string): Promise<NamedFiles> {
    try {
      await makeDirectory(directory);
      const leftovers = (await readdir(directory)).filter(isTemporaryName);
      await Promise.all(leftovers.map((name) => rm(join(directory, name), { force: true })));
    } catch (error) {
      throw diskError(error, directory);
    }
    return new NamedFiles(directory, extension);
  }

  /** Where the file of `name` lies; throws INVALID_ARGUMENT for what is no name, and so for every path. */
  path(name: string): string {
    return join(this.#directory, `${requireName(name, 'name')}${this.#extension}`);
  }

  has(name: string): boolean {
    return existsSync(this.path(name));
  }

  async write(name: string, content: Chunks): Promise<void> {
    const path = this.path(name);
    await this.#inTurn(() => writeDurably(path, content));
  }

  /** The content after all changes asked for so far. */
  async read(name: string): Promise<Uint8Array | undefined> {
    const path = this.path(name);
    return this.#inTurn(async () => {
      try {
        return new Uint8Array(await readFile(path));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw diskError(error, path);
      }
    });
  }

  async remove(name: string): Promise<void> {
    const path = this.path(name);
    await this.#inTurn(async () => {
      try {
        await rm(path);
        await syncDirectory(this.#directory);
      } catch (error) {
        if (!isMissing(error)) throw diskError(error, path);
      }
    });
  }

  async list(): Promise<readonly string[]> {
    const names = (await readdir(this.#directory)).filter(
      (name) => name.endsWith(this.#extension) && !isTemporaryName(name),
    );
    return names.map((name) => name.slice(0, -this.#extension.length)).sort();
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
