import type { Clock } from '../../ports.js';

interface Timer {
  readonly atMs: number;
  readonly action: () => void;
}

/** A clock that moves when it is told to: for tests. */
export class ManualClock implements Clock {
  #now: number;
  #timers: Timer[] = [];

  constructor(nowMs: number) {
    this.#now = nowMs;
  }

  now(): number {
    return this.#now;
  }

  at(atMs: number, action: () => void): () => void {
    const timer = { atMs, action };
    this.#timers.push(timer);
    // Due already: fires without a further move, as any clock does, but not before the caller has gone on.
    if (atMs <= this.#now) queueMicrotask(() => this.advance(0));
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Moves on by `ms`; timers fire in the order of their times, each seeing its own time as now. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let next = this.#due(end); next !== undefined; next = this.#due(end)) {
      const timer = next;
      this.#timers = this.#timers.filter((other) => other !== timer);
      this.#now = Math.max(this.#now, timer.atMs);
      timer.action();
    }
    this.#now = end;
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.length;
  }

  #due(end: number): Timer | undefined {
    return this.#timers.filter((timer) => timer.atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
  }
}
