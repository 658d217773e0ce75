import type { EventEmitter } from 'node:events';

import { LIMITS, TributaryError } from '@tributary/proto';

/** Bounds what runs at the same time, in all and for each key. */
export class Concurrency {
  readonly #what: string;
  readonly #most: number;
  readonly #mostPerKey: number;
  readonly #byKey = new Map<string, number>();
  #running = 0;

  /** `what` is named in the refusal, for example "downloads". */
  constructor(what: string, most: number, mostPerKey: number) {
    this.#what = what;
    this.#most = most;
    this.#mostPerKey = mostPerKey;
  }

  get running(): number {
    return this.#running;
  }

  /** Takes a place until `call` closes: a reader that stalls keeps its place. Throws OVERLOADED where none is free. */
  enter(key: string, call: EventEmitter): void {
    const ofKey = this.#byKey.get(key) ?? 0;
    if (this.#running >= this.#most || ofKey >= this.#mostPerKey) {
      throw new TributaryError(
        'OVERLOADED',
        `at most ${String(this.#most)} ${this.#what} at once, ${String(this.#mostPerKey)} of one caller`,
        { fields: { retryAfterMs: LIMITS.retryAfterMs } },
      );
    }
    this.#running += 1;
    this.#byKey.set(key, ofKey + 1);
    call.once('close', () => {
      this.#running -= 1;
      const left = (this.#byKey.get(key) ?? 1) - 1;
      if (left === 0) this.#byKey.delete(key);
      else this.#byKey.set(key, left);
    });
  }
}
