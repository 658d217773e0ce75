import { openBytes, sealBytes, TributaryError } from '@tributary/proto';
import { Level } from 'level';

import type { StateStore } from '../../ports.js';
import { ensureDirectory, fileError } from '../files/durable-file.js';

/** LevelDB with each value sealed under its key's name, so that values cannot be swapped. One process per directory. */
export class LevelStateStore implements StateStore {
  readonly #level: Level<string, Uint8Array>;
  readonly #key: Uint8Array;

  private constructor(level: Level<string, Uint8Array>, key: Uint8Array) {
    this.#level = level;
    this.#key = key;
  }

  /** Rejects with STORE_LOCKED where another process owns `directory`. */
  static async open(directory: string, key: Uint8Array): Promise<LevelStateStore> {
    await ensureDirectory(directory);
    const level = new Level<string, Uint8Array>(directory, { valueEncoding: 'view' });
    try {
      await level.open();
    } catch (error) {
      throw openError(error, directory);
    }
    return new LevelStateStore(level, key);
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const sealed = await this.#level.get(key);
    return sealed === undefined ? undefined : this.#open(key, sealed);
  }

  async put(changes: Readonly<Record<string, Uint8Array | undefined>>): Promise<void> {
    const operations = Object.entries(changes).map(([key, value]) =>
      value === undefined
        ? ({ type: 'del', key } as const)
        : ({ type: 'put', key, value: sealBytes({ key: this.#key, name: `state/${key}` }, value) } as const),
    );
    try {
      await this.#level.batch(operations, { sync: true });
    } catch (error) {
      throw writeError(error);
    }
  }

  async *list(
    prefix: string,
  ): AsyncGenerator<{ readonly key: string; readonly value: Uint8Array }, void, undefined> {
    for await (const [key, sealed] of this.#level.iterator({ gte: prefix, lt: `${prefix}\uffff` })) {
      yield { key, value: this.#open(key, sealed) };
    }
  }

  close(): Promise<void> {
    return this.#level.close();
  }

  #open(key: string, sealed: Uint8Array): Uint8Array {
    return openBytes({ key: this.#key, name: `state/${key}` }, sealed);
  }
}

/** LevelDB hides the reason for a failed open one level down. */
function openError(error: unknown, directory: string): TributaryError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'LEVEL_LOCKED') {
    return new TributaryError('STORE_LOCKED', `${directory}: another agent process owns it`, {
      cause: error,
      hint: 'Stop that process; `tributary-agent status` talks to it while it runs.',
    });
  }
  if (code === 'LEVEL_CORRUPTION')
    return new TributaryError('STORE_CORRUPT', `${directory}: the database is damaged`, { cause: error });
  return fileError(cause, directory);
}

/** It gives the reason for a failed write as text only. */
function writeError(error: unknown): TributaryError {
  const text = error instanceof Error ? error.message : '';
  if (/no space left|quota exceeded/i.test(text))
    return new TributaryError('STORE_FULL', 'state: the disk is full', { cause: error });
  return new TributaryError('STORE_CORRUPT', 'state: a write failed', { cause: error });
}
