import { bytesToFloat32, FLOAT32_BYTES, LIMITS } from '@tributary/proto';

import type { OutboxFiles } from '../ports.js';

/** Elements of a piece. */
const PIECE = LIMITS.chunkBytes / FLOAT32_BYTES;

/**
 * Where the deltas of envelopes come from: the sealed file, or memory where the delta was trained a moment ago. One
 * vector in memory at most: what cannot be kept is read from its file, which is there in any case.
 */
export class DeltaSource {
  readonly #files: OutboxFiles;
  #kept: { readonly name: string; readonly values: Float32Array } | undefined;
  #lent = false;

  constructor(files: OutboxFiles) {
    this.#files = files;
  }

  /** `values`, sealed as the file `name`, become the source's own. */
  keep(name: string, values: Float32Array): void {
    if (!this.#lent) this.#kept = { name, values };
  }

  /** Lets go of what is kept and not yet being read. */
  release(): void {
    this.#kept = undefined;
  }

  /** The delta in pieces that are the caller's to change until it asks for the next. Rejects as `readSealed`. */
  pieces(name: string): AsyncGenerator<Float32Array, void, undefined> {
    return this.#kept?.name === name ? this.#fromMemory(this.#kept.values) : this.#fromFile(name);
  }

  async *#fromMemory(values: Float32Array): AsyncGenerator<Float32Array, void, undefined> {
    // The pieces change while they are read: nobody can read them again.
    this.#kept = undefined;
    this.#lent = true;
    try {
      for (let start = 0; start < values.length; start += PIECE) {
        yield await Promise.resolve(values.subarray(start, start + PIECE));
      }
    } finally {
      this.#lent = false;
    }
  }

  async *#fromFile(name: string): AsyncGenerator<Float32Array, void, undefined> {
    const piece = new Float32Array(PIECE);
    for await (const bytes of this.#files.readSealed(name)) yield bytesToFloat32(bytes, piece);
  }
}
