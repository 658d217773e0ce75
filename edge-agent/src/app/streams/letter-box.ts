import { LIMITS, TributaryError } from '@tributary/proto';

import type { SealedFiles } from '../../ports.js';
import type { Log } from '../log.js';

/** What the site keeps of a message that could not be used. */
export interface KeptLetter {
  readonly reason: string;
  readonly field?: string;
  readonly topic: string;
  /** Milliseconds since 1970. */
  readonly arrivalMs: number;
  readonly payload: Uint8Array;
}

export const LETTER_FORMAT = 1;
const HEAD = Buffer.from(`${JSON.stringify({ formatVersion: LETTER_FORMAT, kind: 'DeadLetters' })}\n`);
/** Names of files: a number that grows, and the bytes in it. */
export const LETTER_FILE = /^([0-9]{12})-([0-9]{1,12})\.letters$/;

interface KeptFile {
  readonly name: string;
  readonly bytes: number;
}

/** The newest dead letters of one pipeline, sealed: a file for those that came while one was being written. */
export class LetterBox {
  readonly #files: SealedFiles;
  readonly #keepBytes: number;
  readonly #log: Pick<Log, 'warn'>;
  #kept: KeptFile[];
  #next: number;
  #waiting: { readonly line: Buffer; readonly done: () => void }[] = [];
  #waitingBytes = 0;
  #writing = false;

  private constructor(files: SealedFiles, keepBytes: number, log: Pick<Log, 'warn'>, kept: KeptFile[]) {
    this.#files = files;
    this.#keepBytes = keepBytes;
    this.#log = log;
    this.#kept = kept;
    this.#next = 1 + Number(kept.at(-1)?.name.slice(0, 12) ?? 0);
  }

  /** `keepBytes` of 0 keeps nothing, and lets go what was kept before. */
  static async open(files: SealedFiles, keepBytes: number, log: Pick<Log, 'warn'>): Promise<LetterBox> {
    const kept = (await files.list()).flatMap((name) => {
      const bytes = LETTER_FILE.exec(name)?.[2];
      return bytes === undefined ? [] : [{ name, bytes: Number(bytes) }];
    });
    kept.sort((a, b) => (a.name < b.name ? -1 : 1));
    const box = new LetterBox(files, keepBytes, log, kept);
    await box.#removeOldest();
    return box;
  }

  /** Calls `done` when the letter is on disk, or cannot be: the log says so, and the stream goes on. */
  keep({ payload, ...letter }: KeptLetter, done: () => void): void {
    if (this.#keepBytes === 0) {
      done();
      return;
    }
    const text = `${JSON.stringify({ ...letter, payload: Buffer.from(payload).toString('base64') })}\n`;
    const line = Buffer.from(text);
    this.#waiting.push({ line, done });
    this.#waitingBytes += line.length;
    // Newer ones would push it out again in any case.
    while (HEAD.length + this.#waitingBytes > this.#keepBytes && this.#waiting.length > 1) {
      const oldest = this.#waiting.shift();
      this.#waitingBytes -= oldest?.line.length ?? 0;
      oldest?.done();
    }
    if (this.#writing) return;
    this.#write().catch((error: unknown) => {
      this.#log.warn({ code: TributaryError.from(error).code }, 'dead letters were not kept');
    });
  }

  async #write(): Promise<void> {
    this.#writing = true;
    try {
      while (this.#waiting.length > 0) await this.#writeWaiting();
    } finally {
      this.#writing = false;
    }
  }

  async #writeWaiting(): Promise<void> {
    const letters = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const bytes = Buffer.concat([HEAD, ...letters.map(({ line }) => line)]);
    const name = `${String(this.#next++).padStart(12, '0')}-${String(bytes.length)}.letters`;
    try {
      // One letter alone may be too large.
      if (bytes.length <= this.#keepBytes) {
        await this.#files.writeSealed(name, [bytes]);
        this.#kept.push({ name, bytes: bytes.length });
        await this.#removeOldest();
      }
    } catch (error) {
      const { code, message } = TributaryError.from(error);
      this.#log.warn({ code, detail: message }, 'dead letters were not kept');
    }
    for (const { done } of letters) done();
  }

  async #removeOldest(): Promise<void> {
    let bytes = this.#kept.reduce((sum, file) => sum + file.bytes, 0);
    while (bytes > this.#keepBytes || this.#kept.length > LIMITS.deadLetterFiles) {
      const oldest = this.#kept.shift();
      if (oldest === undefined) return;
      bytes -= oldest.bytes;
      await this.#files.remove(oldest.name);
    }
  }
}
