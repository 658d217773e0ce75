import { join } from 'node:path';

import { LIMITS, openBytes, sealBytes, TributaryError } from '@tributary/proto';
import { Level } from 'level';

import type { StateStore } from '../../ports.js';
import { ensureDirectory, hasRoom, syncDirectory } from '../files/durable-file.js';
import { StateMark } from './state-mark.js';
import { decodeSum, encodeSum, StateTally, type StateOperation, type StateSum } from './state-tally.js';
import { levelError, lost } from './store-error.js';

type Database = Level<string, Uint8Array>;

/** The record that counts the others; before all names that callers use. */
const TALLY = '\u0000tally';
export const MARK = 'mark';

export interface StateStoreOptions {
  /** The store was made by a build that marks it, and is whole where its mark is there. Default: false. */
  readonly marked?: boolean;
  /**
   * A build that counts nothing may have written last: tally and mark, which a newer one began before that, say nothing and
   * begin anew. Default: false.
   */
  readonly uncounted?: boolean;
}

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

  private constructor(directory: string, level: Database, key: Uint8Array, opened: Opened) {
    this.#directory = directory;
    this.#level = level;
    this.#key = key;
    this.#mark = opened.mark;
    this.#tally = opened.tally;
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
    await ensureDirectory(directory);
    const level: Database = new Level<string, Uint8Array>(directory, { valueEncoding: 'view' });
    try {
      await level.open();
      return new LevelStateStore(directory, level, key, await openMarked(directory, level, key, options));
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
    const { sum, apply } = tally.change(operations);
    const counted = { type: 'put', key: TALLY, value: sealed(this.#key, TALLY, encodeSum(sum)) } as const;
    await this.#level.batch([...operations, counted], { sync: true });
    apply();
    // A mark that could not be written is harmless: it is behind.
    await this.#mark.write(tally.sum).catch(() => undefined);
  }

  /** What nobody was told is there is taken back. */
  async #settle(failed: Failed): Promise<void> {
    if (!(await hasRoom(this.#directory, LIMITS.reopenBytes))) throw failed.error;
    const undo = (failed.undo ??= await inverse(this.#level, failed.operations));
    const known = this.#tally.sum;
    await this.#level.close();
    await this.#level.open();
    const tally = await tallyOf(this.#directory, this.#level, this.#key);
    if (tally.sum.sum !== known.sum) {
      if (tally.sum.changes === known.changes + 1) await this.#batch(tally, undo);
      if (tally.sum.sum !== known.sum) throw lost(this.#directory, 'records are missing');
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

const sealed = (key: Uint8Array, name: string, value: Uint8Array): Uint8Array =>
  sealBytes({ key, name: `state/${name}` }, value);

const opened = (key: Uint8Array, name: string, value: Uint8Array): Uint8Array =>
  openBytes({ key, name: `state/${name}` }, value);

interface Opened {
  readonly mark: StateMark;
  readonly tally: StateTally;
}

async function openMarked(
  directory: string,
  level: Database,
  key: Uint8Array,
  { marked = false, uncounted = false }: StateStoreOptions,
): Promise<Opened> {
  const { file: mark, sum: found } = await StateMark.open(join(directory, MARK));
  const sum = uncounted ? undefined : found;
  try {
    if (sum === undefined && marked) throw lost(directory, 'its mark is missing, or damaged');
    // One that was never marked is new, or of a build that counted nothing.
    const isCounted = sum !== undefined || (!uncounted && (await level.get(TALLY)) !== undefined);
    const tally = isCounted ? await tallyOf(directory, level, key) : await beginTally(level, key);
    if (sum === undefined) {
      await mark.begin(tally.sum);
      await syncDirectory(directory);
    } else requireReached(directory, sum, tally.sum);
    return { mark, tally };
  } catch (error) {
    await mark.close().catch(() => undefined);
    throw error;
  }
}

/** Throws STORE_CORRUPT where the records are not as far as the mark, or others. */
function requireReached(directory: string, marked: StateSum, found: StateSum): void {
  if (marked.changes > found.changes)
    throw lost(
      directory,
      `the last ${String(marked.changes - found.changes)} of its changes are missing, which were acknowledged`,
    );
  if (marked.changes === found.changes && marked.sum !== found.sum)
    throw lost(directory, 'its records are not those that were acknowledged');
}

/** Rejects with STORE_CORRUPT where the records are not those that were counted with the last of them. */
async function tallyOf(directory: string, level: Database, key: Uint8Array): Promise<StateTally> {
  const tally = await foundIn(level);
  const value = await level.get(TALLY);
  if (value === undefined) throw lost(directory, 'all of its records are missing');
  const { changes, sum } = decodeSum(opened(key, TALLY, value), directory);
  tally.count(changes);
  if (tally.sum.sum !== sum)
    throw lost(directory, 'some of its records are missing, or others than were written');
  return tally;
}

async function beginTally(level: Database, key: Uint8Array): Promise<StateTally> {
  const tally = await foundIn(level);
  const value = sealed(key, TALLY, encodeSum(tally.sum));
  await level.batch([{ type: 'put', key: TALLY, value }], { sync: true });
  return tally;
}

async function foundIn(level: Database): Promise<StateTally> {
  const tally = new StateTally();
  for await (const [key, value] of level.iterator()) if (key !== TALLY) tally.found(key, value);
  return tally;
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
