import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { TributaryError } from '@tributary/proto';

import { fileError } from '../files/file-error.js';

/**
 * Rows of float32 values in a file without a name: made with mode 0600 and unlinked at once, so that it is gone with the
 * process, however that ends. Rows are read one by one, in any order; the system keeps what fits in its page cache.
 */
export class RowFile {
  readonly #descriptor: number;
  readonly #row: Float32Array;
  readonly #rowBytes: Uint8Array;
  #end = 0;

  /** `stride`: values a row. Throws STORE_FULL and its like where the directory takes no file. */
  constructor(directory: string, stride: number) {
    this.#row = new Float32Array(stride);
    this.#rowBytes = new Uint8Array(this.#row.buffer);
    this.#descriptor = attempt(() => {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const path = join(directory, `rows-${randomBytes(8).toString('hex')}`);
      const descriptor = openSync(path, 'wx+', 0o600);
      unlinkSync(path);
      return descriptor;
    });
  }

  append(rows: Float32Array): void {
    const bytes = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
    for (let done = 0; done < bytes.length;) {
      const written = attempt(() => writeSync(this.#descriptor, bytes, done, bytes.length - done, this.#end));
      done += written;
      this.#end += written;
    }
  }

  /** Valid until the next call. */
  read(row: number): Float32Array {
    const length = this.#rowBytes.length;
    const read = readSync(this.#descriptor, this.#rowBytes, 0, length, row * length);
    if (read !== length) throw new TributaryError('INTERNAL', 'a row beyond the end of its file');
    return this.#row;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

function attempt<T>(operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw fileError(error, 'the file for rows that do not fit into memory');
  }
}
