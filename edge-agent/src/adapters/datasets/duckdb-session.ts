import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';

import { DuckDBInstance, type DuckDBConnection, type DuckDBResult } from '@duckdb/node-api';
import { LIMITS } from '@tributary/proto';

import { fileError } from '../files/file-error.js';
import { sqlList, sqlText } from './sql-text.js';

/**
 * Settings of a database that lives in memory for one dataset. One thread: rows come in the same order every time.
 * Nothing is downloaded or loaded; what does not fit goes to encrypted files. Their cipher is the one that is built in:
 * the other comes with an extension. Its random numbers are too weak for keys that last; these last for one query.
 */
const SETTINGS = {
  threads: '1',
  memory_limit: `${String(LIMITS.readerMemoryBytes)}B`,
  preserve_insertion_order: 'true',
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
  allow_community_extensions: 'false',
  allow_unsigned_extensions: 'false',
  temp_file_encryption: 'true',
  force_mbedtls_unsafe: 'true',
  max_temp_directory_size: `${String(LIMITS.readerDiskBytes)}B`,
} as const;

/** How often a query that runs is asked whether it still should. */
const LOOK_MS = 100;

/** A DuckDB of one dataset that can read the files of that dataset and nothing else, and write nothing. */
export class DuckDbSession {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #spill: string;
  readonly #looking: NodeJS.Timeout;
  #stopped: unknown;

  private constructor(
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    spill: string,
    poll: () => void,
  ) {
    this.#instance = instance;
    this.#connection = connection;
    this.#spill = spill;
    this.#looking = setInterval(() => {
      this.#look(poll);
    }, LOOK_MS).unref();
  }

  /** What `poll` threw, once it has: then every error of a query comes from that. */
  get stopped(): unknown {
    return this.#stopped;
  }

  /**
   * Opens and locks the database: `files` are all that any SQL can open from now on, and no setting changes any more.
   * `scratchDir` takes what a sort cannot hold in memory; it is gone after close. A query is interrupted when `poll`,
   * called now and then, throws: nothing else ends one that goes on for ever, not even the end of its thread.
   */
  static async open(
    files: readonly string[],
    scratchDir: string,
    poll: () => void = () => undefined,
  ): Promise<DuckDbSession> {
    const spill = join(scratchDir, `sort-${randomBytes(6).toString('hex')}`);
    // DuckDB makes the last folder of the path only, and lets others read it.
    await mkdir(spill, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw fileError(error, 'the folder for what sorts cannot hold in memory');
    });
    const instance = await DuckDBInstance.create(':memory:', { ...SETTINGS, temp_directory: spill });
    const connection = await instance.connect();
    const session = new DuckDbSession(instance, connection, spill, poll);
    try {
      await connection.run("SET TimeZone = 'UTC'");
      await connection.run(`SET allowed_paths = ${sqlList(files)}`);
      await connection.run('SET enable_external_access = false');
      await connection.run('SET lock_configuration = true');
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  }

  /** For statements of ours, never of the site or the job. */
  async run(sql: string): Promise<void> {
    await this.#connection.run(sql);
  }

  stream(sql: string): Promise<DuckDBResult> {
    return this.#connection.stream(sql);
  }

  /** The first value of a query. */
  async value(sql: string): Promise<unknown> {
    const reader = await this.#connection.runAndReadAll(sql);
    return reader.getRows()[0]?.[0];
  }

  /** The syntax tree of one SELECT, or undefined where the text is not exactly that. */
  async selectTree(sql: string): Promise<unknown> {
    const json = await this.value(`SELECT json_serialize_sql(${sqlText(sql)})`);
    const tree = JSON.parse(String(json)) as {
      readonly error: boolean;
      readonly statements?: readonly unknown[];
    };
    return tree.error || tree.statements?.length !== 1 ? undefined : tree.statements[0];
  }

  /** An interruption ends what runs at that moment only, so every look repeats it. */
  #look(poll: () => void): void {
    try {
      poll();
    } catch (error) {
      this.#stopped = error;
      this.#connection.interrupt();
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#looking);
    this.#connection.closeSync();
    this.#instance.closeSync();
    await rm(this.#spill, { recursive: true, force: true });
  }
}
