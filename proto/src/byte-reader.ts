/**
 * Takes exact numbers of bytes from a source that delivers them in pieces of any length; holds one piece at a time, and
 * copies only where what is taken spans several.
 */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #early: () => Error;
  #piece: Uint8Array = new Uint8Array(0);
  /** For what spans pieces: fresh memory for each would cost more than the copying. */
  #spanning: Uint8Array = new Uint8Array(0);

  /** `early` makes the error that is thrown where the source ends before what is taken. */
  constructor(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, early: () => Error) {
    this.#source =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    this.#early = early;
  }

  /** Bytes that are at hand without asking the source. */
  get buffered(): number {
    return this.#piece.length;
  }

  /** The next `count` bytes; valid until the source is asked for more. */
  async take(count: number): Promise<Uint8Array> {
    const bytes = await this.takeUpTo(count);
    if (bytes.length < count) throw this.#early();
    return bytes;
  }

  /** The next `count` bytes, or as many as the source still has. */
  async takeUpTo(count: number): Promise<Uint8Array> {
    if (this.#piece.length === 0) await this.#more();
    if (this.#piece.length >= count) return this.#cut(count);
    if (this.#spanning.length < count) this.#spanning = new Uint8Array(count);
    const bytes = this.#spanning;
    let filled = 0;
    while (filled < count && (this.#piece.length > 0 || (await this.#more()))) {
      const part = this.#cut(Math.min(count - filled, this.#piece.length));
      bytes.set(part, filled);
      filled += part.length;
    }
    return bytes.subarray(0, filled);
  }

  /** True where the source has no more bytes. */
  async atEnd(): Promise<boolean> {
    return this.#piece.length === 0 && !(await this.#more());
  }

  /** Tells the source that no more is wanted. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  #cut(count: number): Uint8Array {
    const part = this.#piece.subarray(0, count);
    this.#piece = this.#piece.subarray(count);
    return part;
  }

  /** Fetches the next piece that is not empty; false at the end. */
  async #more(): Promise<boolean> {
    for (;;) {
      const next = await this.#source.next();
      if (next.done === true) return false;
      if (next.value.length === 0) continue;
      this.#piece = next.value;
      return true;
    }
  }
}
