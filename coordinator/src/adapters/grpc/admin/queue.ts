import { TributaryError } from '@tributary/proto';

import type { CallContext } from '../calls.js';

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

  /**
   * The next item; undefined after `idleMs` without one, or when the caller has gone. Rejects with what `overflow` made
   * once the items before it are read, and with SHUTTING_DOWN when the daemon stops.
   */
  async next(
    idleMs: number,
    { signal, stopping }: Pick<CallContext, 'signal' | 'stopping'>,
  ): Promise<Item | undefined> {
    const ended = [signal, stopping];
    const waits =
      this.#items.length === 0 && this.#failed === undefined && !ended.some(({ aborted }) => aborted);
    if (waits) await this.#wait(idleMs, ended);
    if (stopping.aborted)
      throw new TributaryError('SHUTTING_DOWN', 'the coordinator stops', {
        hint: 'ask again when it is back',
      });
    if (this.#items.length === 0 && this.#failed !== undefined) throw this.#failed;
    return this.#items.shift();
  }

  #wait(idleMs: number, ended: readonly AbortSignal[]): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        for (const signal of ended) signal.removeEventListener('abort', done);
        this.#wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(done, idleMs);
      for (const signal of ended) signal.addEventListener('abort', done, { once: true });
      this.#wake = done;
    });
  }
}
