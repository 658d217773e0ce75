import { createHmac } from 'node:crypto';
import { open, readdir, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { LIMITS, TributaryError, type DecisionRule } from '@tributary/proto';
import { makeDirectory } from '@tributary/proto/node';

import {
  dayOf,
  expired,
  fileNameOf,
  parseFileName,
  PREDICTION_LOG_HEADER,
  predictionLine,
  type LogFile,
} from '../../domain/serving/prediction-line.js';
import type { PredictionEntry, PredictionLog } from '../../serving-ports.js';
import { fileError } from '../files/file-error.js';

export interface PredictionFilesOptions {
  readonly directory: string;
  /** Secret of the site, under which digests of inputs are made: nobody can try out what the input was. */
  readonly key: Uint8Array;
  readonly rule: DecisionRule;
  readonly now: () => number;
  /** Milliseconds from one look for what is too old to the next; an hour by default. */
  readonly expireEveryMs?: number;
}

/** A file is this part of what all may take, so that removing the oldest frees little at a time. */
const FILES_OF_BUDGET = 16;

interface OpenFile {
  readonly handle: FileHandle;
  readonly name: LogFile;
  bytes: number;
}

interface Waiting {
  readonly entries: readonly PredictionEntry[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Predictions as lines of JSON in files of a day, which are removed by age and size. */
export class PredictionFiles implements PredictionLog {
  readonly #options: PredictionFilesOptions;
  #waiting: Waiting[] = [];
  #pending = 0;
  #writing: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #file: OpenFile | undefined;
  #syncedMs = 0;
  #closed = false;
  readonly #expiry: NodeJS.Timeout;
  #isExpiring = false;

  private constructor(options: PredictionFilesOptions) {
    this.#options = options;
    this.#expiry = setInterval(() => {
      this.#expireSoon();
    }, options.expireEveryMs ?? LIMITS.predictionLogExpireMs).unref();
  }

  static async open(options: PredictionFilesOptions): Promise<PredictionFiles> {
    await makeDirectory(options.directory);
    const files = new PredictionFiles(options);
    try {
      await files.#removeExpired();
      return files;
    } catch (error) {
      await files.close();
      throw error;
    }
  }

  record(entries: readonly PredictionEntry[]): Promise<void> {
    if (this.#closed) return Promise.reject(new TributaryError('SHUTTING_DOWN', 'the log is closed'));
    if (this.#pending + entries.length > LIMITS.predictionLogPending)
      return Promise.reject(
        new TributaryError('OVERLOADED', 'too many predictions wait to be logged; the disk is too slow', {
          fields: { retryAfterMs: LIMITS.retryAfterMs },
        }),
      );
    this.#pending += entries.length;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entries, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#expiry);
    await this.#writing;
    await this.#endFile();
  }

  /** What came while one write was under way goes out with the next. */
  async #drain(): Promise<void> {
    while (this.#waiting.length > 0 || this.#isExpiring) {
      if (this.#isExpiring) await this.#expire();
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        if (batch.length > 0) await this.#write(batch);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        const known = fileError(error, this.#options.directory);
        // The last line may be torn: the next one begins a file.
        await this.#endFile().catch(() => undefined);
        for (const { reject } of batch) reject(known);
      }
      this.#pending -= batch.reduce((sum, { entries }) => sum + entries.length, 0);
    }
    this.#writing = undefined;
  }

  /** In turn with the writes. */
  #expireSoon(): void {
    this.#isExpiring = true;
    this.#writing ??= this.#drain();
  }

  /** A file of a day that is over may go, though nothing else was written. What cannot be removed is tried again. */
  async #expire(): Promise<void> {
    this.#isExpiring = false;
    try {
      if (this.#file?.name.day !== dayOf(this.#options.now())) await this.#endFile();
      await this.#removeExpired();
    } catch {
      // The disk tells the next write.
    }
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const nowMs = this.#options.now();
    const file = await this.#fileFor(nowMs);
    const bytes = Buffer.from(this.#lines(batch));
    await file.handle.appendFile(bytes);
    file.bytes += bytes.length;
    if (nowMs - this.#syncedMs >= LIMITS.predictionLogSyncMs) this.#syncSoon(file, nowMs);
  }

  /** Beside the writes, which would wait for a slow disk; where it fails the next of them does. */
  #syncSoon({ handle }: OpenFile, nowMs: number): void {
    this.#syncedMs = nowMs;
    this.#syncing ??= handle
      .datasync()
      .catch(() => undefined)
      .finally(() => {
        this.#syncing = undefined;
      });
  }

  /** A text and its bytes are made for all entries at once: thousands a second are answered. */
  #lines(batch: readonly Waiting[]): string {
    let text = '';
    let at = { ms: Number.NaN, iso: '' };
    for (const { entries } of batch)
      for (const entry of entries) {
        if (entry.atMs !== at.ms) at = { ms: entry.atMs, iso: new Date(entry.atMs).toISOString() };
        text += predictionLine(entry, at.iso, this.#digest(entry.input));
      }
    return text;
  }

  #digest(input: PredictionEntry['input']): string | undefined {
    const { rule, key } = this.#options;
    if (rule.inputs === 'None' || input === undefined) return undefined;
    return `hmac-sha256:${createHmac('sha256', key).update(input()).digest('hex')}`;
  }

  async #fileFor(nowMs: number): Promise<OpenFile> {
    const day = dayOf(nowMs);
    const most = this.#options.rule.maximumBytes / FILES_OF_BUDGET;
    if (this.#file !== undefined && this.#file.name.day === day && this.#file.bytes < most) return this.#file;
    await this.#endFile();
    await this.#removeExpired();
    const parts = (await this.#files()).filter((file) => file.day === day).map(({ part }) => part);
    // A new file at each start: what a crash left at the end of the last one stays as it is.
    const name = { day, part: Math.max(0, ...parts) + 1, bytes: 0 };
    const header = Buffer.concat([PREDICTION_LOG_HEADER, Buffer.from('\n')]);
    const handle = await begin(join(this.#options.directory, fileNameOf(name)), header);
    this.#file = { handle, name, bytes: header.length };
    return this.#file;
  }

  async #endFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    await this.#syncing;
    try {
      await file.handle.sync();
    } finally {
      await file.handle.close();
    }
  }

  async #removeExpired(): Promise<void> {
    const { directory, rule, now } = this.#options;
    for (const file of expired(await this.#files(), rule, now()))
      await rm(join(directory, fileNameOf(file)), { force: true });
  }

  async #files(): Promise<readonly LogFile[]> {
    const { directory } = this.#options;
    const files: LogFile[] = [];
    for (const entry of await readdir(directory)) {
      const name = parseFileName(entry);
      if (name !== undefined) files.push({ ...name, bytes: (await stat(join(directory, entry))).size });
    }
    return files;
  }
}

/** A new file with its header; where that finds no room, none. */
async function begin(path: string, header: Uint8Array): Promise<FileHandle> {
  const handle = await open(path, 'ax', 0o600);
  try {
    await handle.appendFile(header);
    return handle;
  } catch (error) {
    await handle.close();
    await rm(path, { force: true });
    throw error;
  }
}
