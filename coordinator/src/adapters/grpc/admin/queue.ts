/**
 * Holds at most `capacity` items between a publisher that never waits and a reader that may be slow. A reader that falls
 * behind gets what it had, and then the error of `overflow`: memory stays bounded whoever reads.
 */
export class BoundedQueue<Item> {
  readonly #capacity: number;
  readonly #overflow: () => Error;
  readonly #items: Item[] = [];
  #failed: Error | undefined;
  #wake: () => void = () => undefined;

  constructor(capacity: number, overflow: () => Error) {
    this.#capacity = capacity;
    this.#overflow = overflow;
  }

  push(item: Item): void {
    if (this.#failed !== undefined) return;
    if (this.#items.length >= this.#capacity) this.#failed = this.#overflow();
    else this.#items.push(item);
    this.#wake();
  }

  /** The next item; undefined after `idleMs` without one, or when `signal` is aborted. */
  async next(idleMs: number, signal: AbortSignal): Promise<Item | undefined> {
    if (this.#items.length === 0 && this.#failed === undefined && !signal.aborted) await this.#wait(idleMs, signal);
    if (this.#items.length === 0 && this.#failed !== undefined) throw this.#failed;
    return this.#items.shift();
  }

  #wait(idleMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(done, idleMs);
      signal.addEventListener('abort', done, { once: true });
      this.#wake = done;
    });
  }
}
