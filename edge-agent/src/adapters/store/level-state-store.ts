import { LIMITS, openBytes, sealBytes, TributaryError } from '@tributary/proto';
import { Level } from 'level';

import type { StateStore } from '../../ports.js';
import { ensureDirectory, fileError, hasRoom } from '../files/durable-file.js';

type Database = Level<string, Uint8Array>;
type Change =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string };

/**
 * LevelDB with each value sealed under its key's name, so that values cannot be swapped. One process per directory. Writes
 * follow each other.
 */
export class LevelStateStore implements StateStore {
  readonly #directory: string;
  readonly #key: Uint8Array;
  #level: Database;
  #last: Promise<unknown> = Promise.resolve();
  /**
   * Why the newest write failed. LevelDB drops on opening what was written behind a torn record of its log: it is opened
   * again before anything else is written, once there is room for that. Until then it can be read.
   */
  #failure: TributaryError | undefined;

  private constructor(directory: string, level: Database, key: Uint8Array) {
    this.#directory = directory;
    this.#level = level;
    this.#key = key;
  }

  /** Rejects with STORE_LOCKED where another process owns `directory`, STORE_FULL, STORE_CORRUPT. */
  static async open(directory: string, key: Uint8Array): Promise<LevelStateStore> {
    return new LevelStateStore(directory, await openDatabase(directory), key);
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const sealed = await this.#level.get(key).catch((error: unknown) => {
      throw this.#readError(error);
    });
    return sealed === undefined ? undefined : this.#open(key, sealed);
  }

  put(changes: Readonly<Record<string, Uint8Array | undefined>>): Promise<void> {
    const operations = Object.entries(changes).map(([key, value]): Change =>
      value === undefined
        ? { type: 'del', key }
        : { type: 'put', key, value: sealBytes({ key: this.#key, name: `state/${key}` }, value) },
    );
    const result = this.#last.then(() => this.#write(operations));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async *list(
    prefix: string,
  ): AsyncGenerator<{ readonly key: string; readonly value: Uint8Array }, void, undefined> {
    const entries = this.#level.iterator({ gte: prefix, lt: `${prefix}\uffff` });
    try {
      for await (const [key, sealed] of entries) yield { key, value: this.#open(key, sealed) };
    } catch (error) {
      throw this.#readError(error);
    }
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#level.close();
  }

  async #write(operations: Change[]): Promise<void> {
    if (this.#failure !== undefined) {
      if (!(await hasRoom(this.#directory, LIMITS.reopenBytes))) throw this.#failure;
      await this.#level.close();
      this.#level = await openDatabase(this.#directory);
      this.#failure = undefined;
    }
    try {
      await this.#level.batch(operations, { sync: true });
    } catch (error) {
      this.#failure = levelError(error, this.#directory);
      throw this.#failure;
    }
  }

  #readError(error: unknown): TributaryError {
    return error instanceof TributaryError ? error : (this.#failure ?? levelError(error, this.#directory));
  }

  #open(key: string, sealed: Uint8Array): Uint8Array {
    return openBytes({ key: this.#key, name: `state/${key}` }, sealed);
  }
}

async function openDatabase(directory: string): Promise<Database> {
  await ensureDirectory(directory);
  const level: Database = new Level(directory, { valueEncoding: 'view' });
  try {
    await level.open();
    return level;
  } catch (error) {
    throw levelError(error, directory);
  }
}

/** The reason for a failed open is one level down; that of a failed write or read is text only (strerror). */
function levelError(error: unknown, directory: string): TributaryError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return fileError(cause, directory);
  const code = 'code' in cause ? cause.code : undefined;
  if (code === 'LEVEL_LOCKED') {
    return new TributaryError('STORE_LOCKED', `${directory}: another agent process owns it`, {
      cause: error,
      hint: 'Stop that process; `tributary-agent status` talks to it while it runs.',
    });
  }
  if (/no space left|quota exceeded/i.test(cause.message))
    return new TributaryError('STORE_FULL', `${directory}: the disk is full`, { cause: error });
  if (code === 'LEVEL_CORRUPTION')
    return new TributaryError('STORE_CORRUPT', `${directory}: the database is damaged`, { cause: error });
  return fileError(cause, directory);
}
