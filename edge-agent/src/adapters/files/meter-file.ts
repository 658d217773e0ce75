import { closeSync, constants, openSync, readFileSync, rmSync, writeSync } from 'node:fs';

import { encodeHex, sha256 } from '@tributary/proto';

import type { MeterFile } from '../../egress-ports.js';

/** Names the run of the machine: what was written before it ended may be lost. */
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/**
 * A small file that is overwritten in place and never synced: the system keeps what a dead process wrote, but a machine
 * that lost power does not.
 */
export class UnsyncedMeter implements MeterFile {
  readonly #path: string;
  readonly #boot: string;
  #descriptor: number | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#boot = bootId();
  }

  read(): Uint8Array | undefined {
    try {
      const [digest, length, boot, ...rest] = readFileSync(this.#path, 'latin1').split('\n');
      const content = rest.join('\n').slice(0, Number(length));
      const isWhole = digest === digestOf(`${boot ?? ''}\n${content}`);
      if (!isWhole || boot !== this.#boot || boot === '') return undefined;
      return Buffer.from(content, 'latin1');
    } catch {
      // None yet, or none that helps: the record in the store is used instead.
      return undefined;
    }
  }

  write(bytes: Uint8Array): void {
    const content = Buffer.from(bytes).toString('latin1');
    const text = `${digestOf(`${this.#boot}\n${content}`)}\n${String(bytes.length)}\n${this.#boot}\n${content}`;
    try {
      // Neither truncated nor appended to: a reader finds the old content or the new one.
      this.#descriptor ??= openSync(this.#path, constants.O_RDWR | constants.O_CREAT, 0o600);
      writeSync(this.#descriptor, Buffer.from(text, 'latin1'), 0, undefined, 0);
    } catch {
      // A count that stopped here must not be gone on from: the record in the store, with its reserve, is.
      this.#forget();
    }
  }

  /** Never throws: whoever counts goes on counting. */
  #forget(): void {
    try {
      this.close();
      rmSync(this.#path, { force: true });
    } catch {
      // A file system that became read-only keeps the file, and everything else that the agent has to write.
    }
  }

  close(): void {
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

const digestOf = (text: string): string => encodeHex(sha256(Buffer.from(text, 'latin1')));

function bootId(): string {
  try {
    return readFileSync(BOOT_ID, 'latin1').trim();
  } catch {
    return '';
  }
}
