import { createHmac, type Hmac } from 'node:crypto';

import type { Cell, Row } from '@tributary/proto';

/** Bytes collected before they are hashed: a call per cell would cost more than the hash. */
const BUFFER_BYTES = 64 * 1024;

/** Tags of cells, so that no two kinds read alike. */
const TAGS = { null: 0, text: 1, number: 2, list: 3 } as const;

/**
 * The version of the rows that trained a model: HMAC-SHA256 under a secret of the site. Whoever has the secret and the
 * rows can show that it was these; nobody else can try rows out against it. Over the names of the columns, then every
 * cell of every row in order, each with a tag and, where its length varies, its length in bytes (uint32).
 */
export class DataVersion {
  readonly #hmac: Hmac;
  readonly #columns: readonly string[];
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #used = 0;

  constructor(key: Uint8Array, columns: readonly string[]) {
    this.#hmac = createHmac('sha256', key).update('tributary data version 1\n');
    this.#columns = columns;
    this.#uint32(columns.length);
    for (const column of columns) this.#text(column);
  }

  add(row: Row): void {
    for (const column of this.#columns) this.#cell(row[column]);
  }

  /** `hmac-sha256:` and 64 hex digits. */
  finish(): string {
    this.#flush();
    return `hmac-sha256:${this.#hmac.digest('hex')}`;
  }

  #cell(cell: Cell): void {
    if (cell === null || cell === undefined) this.#byte(TAGS.null);
    else if (typeof cell === 'string') {
      this.#byte(TAGS.text);
      this.#text(cell);
    } else if (typeof cell === 'number') {
      this.#byte(TAGS.number);
      this.#double(cell);
    } else {
      this.#byte(TAGS.list);
      this.#uint32(cell.length);
      for (const element of cell) this.#cell(element);
    }
  }

  #text(text: string): void {
    const bytes = Buffer.byteLength(text);
    this.#uint32(bytes);
    if (bytes > BUFFER_BYTES) {
      this.#flush();
      this.#hmac.update(text);
      return;
    }
    this.#reserve(bytes);
    this.#used += this.#buffer.write(text, this.#used);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#used = this.#buffer.writeUInt8(value, this.#used);
  }

  #uint32(value: number): void {
    this.#reserve(4);
    this.#used = this.#buffer.writeUInt32LE(value, this.#used);
  }

  #double(value: number): void {
    this.#reserve(8);
    this.#used = this.#buffer.writeDoubleLE(value, this.#used);
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes > BUFFER_BYTES) this.#flush();
  }

  #flush(): void {
    this.#hmac.update(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
}
