import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';

import { syncDirectory } from '@tributary/proto/node';

import type { LineLog } from '../../ports.js';
import { fileError } from './file-error.js';

const LINE_END = 0x0a;

/** Lines appended to one file, each synced. */
export class LineFile implements LineLog {
  readonly #path: string;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(path: string) {
    this.#path = path;
  }

  /** Creates the file (mode 0600), durably, where it is missing and cuts off a torn last line. */
  static async open(path: string): Promise<LineFile> {
    try {
      const file = await open(path, 'a+', 0o600);
      try {
        await cutTornLine(file);
      } finally {
        await file.close();
      }
      // Without its name in the directory a file loses every line that was synced.
      await syncDirectory(dirname(path));
    } catch (error) {
      throw fileError(error, path);
    }
    return new LineFile(path);
  }

  append(line: Uint8Array): Promise<void> {
    const turn = this.#turn.then(() => this.#append(line));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  read(): AsyncGenerator<Uint8Array, void, undefined> {
    return linesOf(createReadStream(this.#path));
  }

  async #append(line: Uint8Array): Promise<void> {
    try {
      const file = await open(this.#path, 'a', 0o600);
      try {
        const { size } = await file.stat();
        try {
          await file.writeFile(Buffer.concat([line, Buffer.of(LINE_END)]));
          await file.sync();
        } catch (error) {
          // The next line would go on behind a torn one.
          await file.truncate(size);
          throw error;
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      throw fileError(error, this.#path);
    }
  }
}

/** Whole lines of a stream of bytes, without their ends; a last one without an end is not among them. */
export async function* linesOf(chunks: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void, undefined> {
  let rest = Buffer.alloc(0);
  for await (const chunk of chunks as AsyncIterable<Buffer>) {
    let bytes = Buffer.concat([rest, chunk]);
    for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END)) {
      yield new Uint8Array(bytes.subarray(0, end));
      bytes = bytes.subarray(end + 1);
    }
    rest = bytes;
  }
}

/** Longest line that is looked back for: decisions are far shorter. */
const MAX_LINE = 1024 * 1024;

async function cutTornLine(file: Awaited<ReturnType<typeof open>>): Promise<void> {
  const { size } = await file.stat();
  const tail = Buffer.alloc(Math.min(size, MAX_LINE));
  await file.read(tail, 0, tail.length, size - tail.length);
  const whole = size - tail.length + tail.lastIndexOf(LINE_END) + 1;
  if (whole < size) await file.truncate(whole);
}
