import { isStopped, type StopWord } from './stop-word.js';

/** Below this rests are gathered: a thread does not sleep more exactly. */
const SHORTEST_REST_MS = 5;
/** Longest sleep before the stop word is looked at again. */
const LONGEST_SLEEP_MS = 200;

/** Lets a thread compute for a share of its time only: after each piece of work it rests for what the rest of the time is. */
export class Pace {
  readonly #ratio: number;
  readonly #stop: StopWord;
  readonly #now: () => number;
  #since: number;
  #owed = 0;

  /** `cpuPercent` from 1 to 100. */
  constructor(cpuPercent: number, stop: StopWord, now: () => number = () => performance.now()) {
    this.#ratio = 100 / cpuPercent - 1;
    this.#stop = stop;
    this.#now = now;
    this.#since = now();
  }

  /** Sleeps for what the work since the last call has earned; returns at once where the task is to stop. */
  rest(): void {
    if (this.#ratio === 0) return;
    const now = this.#now();
    this.#owed += (now - this.#since) * this.#ratio;
    if (this.#owed >= SHORTEST_REST_MS) this.#sleep(now + this.#owed);
    this.#since = this.#now();
  }

  #sleep(untilMs: number): void {
    for (let now = this.#now(); now < untilMs && !isStopped(this.#stop); now = this.#now())
      Atomics.wait(this.#stop, 0, 0, Math.min(LONGEST_SLEEP_MS, untilMs - now));
    this.#owed = 0;
  }
}
