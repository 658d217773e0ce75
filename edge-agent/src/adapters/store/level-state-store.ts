import { LIMITS, TributaryError } from '@tributary/proto';
import { hasRoom, makeDirectory } from '@tributary/proto/node';
import { Level } from 'level';

import type { StateStore } from '../../ports.js';
import {
  openCounted,
  opened,
  sealed,
  tallied,
  TALLY,
  tallyOf,
  type CountedState,
  type Database,
  type StateStoreOptions,
} from './counted-state.js';
import type { StateMark } from './state-mark.js';
import type { StateOperation, StateTally } from './state-tally.js';
import { levelError, lost } from './store-error.js';

interface Waiting {
  readonly operations: readonly StateOperation[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Failed {
  readonly error: TributaryError;
  readonly operations: readonly StateOperation[];
  /** What takes it back, once it could be read: what is read before the database is opened again is without the change. */
  undo?: readonly StateOperation[];
}

/**
 * LevelDB with each value sealed under its key's name, so that values cannot be swapped, and a tally of all records in
 * each change, so that none is lost without a word. One process per directory.
 */
export class LevelStateStore implements StateStore {
  readonly #directory: string;
  readonly #level: Database;
  readonly #key: Uint8Array;
  readonly #mark: StateMark;
  #tally: StateTally;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  /**
   * Why the newest change failed. LevelDB may hold it or not, and on opening drops what was
   * written behind a torn record of its log: it is opened again before anything else is written, once there is room for
   * that. Until then it can be read.
   */
  #failed: Failed | undefined;
  #closed = false;

  private constructor(directory: string, level: Database, key: Uint8Array, { mark, tally }: CountedState) {
    this.#directory = directory;
    this.#level = level;
    this.#key = key;
    this.#mark = mark;
    this.#tally = tally;
  }

  /**
   * Rejects with STORE_LOCKED where another process owns `directory`, SEAL_BROKEN for another key, STORE_FULL, and
   * STORE_CORRUPT where records are missing that were acknowledged, or are there again.
   */
  static async open(
    directory: string,
    key: Uint8Array,
    options: StateStoreOptions = {},
  ): Promise<LevelStateStore> {
    await makeDirectory(directory);
    const level: Database = new Level<string, Uint8Array>(directory, { valueEncoding: 'view' });
    try {
      await level.open();
      return new LevelStateStore(directory, level, key, await openCounted(directory, level, key, options));
    } catch (error) {
      await level.close().catch(() => undefined);
      throw levelError(error, directory);
    }
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const sealed = await this.#level.get(key).catch((error: unknown) => {
      throw this.#readError(error);
    });
    return sealed === undefined ? undefined : this.#open(key, sealed);
  }

  put(changes: Readonly<Record<string, Uint8Array | undefined>>): Promise<void> {
    const operations = Object.entries(changes).map(([key, value]) =>
      value === undefined
        ? ({ type: 'del', key } as const)
        : ({ type: 'put', key, value: sealed(this.#key, key, value) } as const),
    );
    if (operations.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ operations, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  async *list(
    prefix: string,
  ): AsyncGenerator<{ readonly key: string; readonly value: Uint8Array }, void, undefined> {
    try {
      for await (const [key, value] of this.#level.iterator({ gte: prefix, lt: `${prefix}\uffff` }))
        if (key !== TALLY) yield { key, value: this.#open(key, value) };
    } catch (error) {
      throw this.#readError(error);
    }
  }

  async close(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([this.#level.close(), this.#mark.close()]);
  }

  /** What comes while one change is written goes into the next one together. */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0);
      try {
        await this.#write(group.flatMap(({ operations }) => operations));
        for (const { resolve } of group) resolve();
      } catch (error) {
        const failure = levelError(error, this.#directory);
        for (const { reject } of group) reject(failure);
      }
    }
    this.#writing = undefined;
  }

  async #write(operations: readonly StateOperation[]): Promise<void> {
    if (this.#failed !== undefined) await this.#settle(this.#failed);
    try {
      await this.#batch(this.#tally, operations);
    } catch (error) {
      if (!this.#closed) this.#failed = { error: levelError(error, this.#directory), operations };
      throw error;
    }
  }

  async #batch(tally: StateTally, operations: readonly StateOperation[]): Promise<void> {
    const { count, apply } = tally.change(operations);
    await this.#level.batch([...operations, tallied(this.#key, count)], { sync: true });
    apply();
    // A mark that could not be written is harmless: it is behind.
    await this.#mark.write(count).catch(() => undefined);
  }

  /** What nobody was told is there is taken back. */
  async #settle(failed: Failed): Promise<void> {
    if (!(await hasRoom(this.#directory, LIMITS.reopenBytes))) throw failed.error;
    const undo = (failed.undo ??= await inverse(this.#level, failed.operations));
    const known = this.#tally.count;
    await this.#level.close();
    await this.#level.open();
    const tally = await tallyOf(this.#directory, this.#level, this.#key);
    if (tally.count.sum !== known.sum) {
      if (tally.count.changes === known.changes + 1) await this.#batch(tally, undo);
      if (tally.count.sum !== known.sum) throw lost(this.#directory, 'records are missing');
    }
    this.#tally = tally;
    this.#failed = undefined;
  }

  /** While it is opened again it cannot be read. */
  #readError(error: unknown): TributaryError {
    return error instanceof TributaryError
      ? error
      : (this.#failed?.error ?? levelError(error, this.#directory));
  }

  #open(key: string, value: Uint8Array): Uint8Array {
    return opened(this.#key, key, value);
  }
}

/** What makes the keys of `operations` again what they are now. */
async function inverse(
  level: Database,
  operations: readonly StateOperation[],
): Promise<readonly StateOperation[]> {
  const keys = [...new Set(operations.map(({ key }) => key))];
  const values = await level.getMany(keys);
  return keys.map((key, index) => {
    const value = values[index];
    return value === undefined ? { type: 'del', key } : { type: 'put', key, value };
  });
}
