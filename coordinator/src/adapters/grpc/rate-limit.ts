import { LIMITS, TributaryError } from '@tributary/proto';

import type { Clock } from '../../ports.js';

/**
 * Bounds how often each key may do something that leaves a trace in the ledger. Counts within fixed windows, the oldest
 * dropped, so that memory is bounded however many keys there are.
 */
export class RateLimit {
  readonly #what: string;
  readonly #most: number;
  readonly #windowMs: number;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #counts = new Map<string, { readonly until: number; count: number }>();

  /** `what` is named in the refusal, for example "renewals". */
  constructor(what: string, most: number, windowMs: number, clock: Pick<Clock, 'now'>) {
    this.#what = what;
    this.#most = most;
    this.#windowMs = windowMs;
    this.#clock = clock;
  }

  /** Counts one; throws OVERLOADED where the key has used its window up. */
  take(key: string): void {
    const now = this.#clock.now();
    const window = this.#counts.get(key);
    if (window === undefined || window.until <= now) {
      this.#counts.delete(key);
      this.#counts.set(key, { until: now + this.#windowMs, count: 1 });
      if (this.#counts.size > LIMITS.agents) this.#counts.delete(this.#counts.keys().next().value ?? '');
      return;
    }
    if (window.count >= this.#most) {
      const minutes = this.#windowMs / 60_000;
      const said = minutes === 1 ? 'a minute' : `${String(minutes)} minutes`;
      throw new TributaryError('OVERLOADED', `at most ${String(this.#most)} ${this.#what} in ${said}`, {
        fields: { retryAfterMs: window.until - now },
      });
    }
    window.count += 1;
  }
}
