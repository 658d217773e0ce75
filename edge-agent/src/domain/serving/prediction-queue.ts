/** A request that waits. */
export interface Waiting {
  /** Rows, at least 1. */
  readonly rows: number;
  /** The version that it names, if any. */
  readonly version?: number | undefined;
  /** When it came, in milliseconds. */
  readonly sinceMs: number;
  /** It waits for no others: whoever sent it has gathered its rows. */
  readonly gathered?: boolean;
}

interface BatchLimits {
  readonly maximumRows: number;
  readonly budgetMs: number;
}

/** Requests of one model in the order in which they came, and which of them make the next batch. */
export class PredictionQueue<T extends Waiting> {
  #rule: BatchLimits;
  #waiting: T[] = [];
  #rows = 0;
  #gathered = 0;

  constructor(rule: BatchLimits) {
    this.#rule = rule;
  }

  /** Later batches follow another rule. */
  follow(rule: BatchLimits): void {
    this.#rule = rule;
  }

  /** Rows that wait. */
  get rows(): number {
    return this.#rows;
  }

  /** True where the next batch can hold no more, or need not wait for more. */
  get isReady(): boolean {
    return this.#rows >= this.#rule.maximumRows || this.#gathered > 0;
  }

  add(request: T): void {
    this.#waiting.push(request);
    this.#count([request], 1);
  }

  /** Puts requests of a batch that got no answer in front again, in their order. */
  putBack(requests: readonly T[]): void {
    this.#waiting = [...requests, ...this.#waiting];
    this.#count(requests, 1);
  }

  /** The version that answers the next batch, where `active` answers requests that name none. */
  nextVersion(active: number | undefined): number | undefined {
    return this.#waiting[0]?.version ?? active;
  }

  /** Milliseconds until the next batch must begin: 0 where it is ready; undefined where nothing waits. */
  dueMs(nowMs: number): number | undefined {
    const [first] = this.#waiting;
    if (first === undefined) return undefined;
    if (this.isReady) return 0;
    return Math.max(0, first.sinceMs + this.#rule.budgetMs - nowMs);
  }

  /**
   * Takes the next batch: requests in order that one version answers, where `active` answers those that name none. A
   * request is never divided; one larger than a batch goes alone.
   */
  take(active: number | undefined): readonly T[] {
    const version = this.nextVersion(active);
    let count = 0;
    let rows = 0;
    for (const request of this.#waiting) {
      const fits = count === 0 || rows + request.rows <= this.#rule.maximumRows;
      if (!fits || (request.version ?? active) !== version) break;
      rows += request.rows;
      count += 1;
    }
    const taken = this.#waiting.splice(0, count);
    this.#count(taken, -1);
    return taken;
  }

  /** True where a request waits that `chosen` names. */
  has(chosen: (request: T) => boolean): boolean {
    return this.#waiting.some(chosen);
  }

  /** Takes the requests that `chosen` names, all by default. */
  drain(chosen: (request: T) => boolean = () => true): readonly T[] {
    const taken = this.#waiting.filter(chosen);
    this.#waiting = this.#waiting.filter((request) => !chosen(request));
    this.#count(taken, -1);
    return taken;
  }

  #count(requests: readonly Waiting[], sign: 1 | -1): void {
    for (const { rows, gathered = false } of requests) {
      this.#rows += sign * rows;
      if (gathered) this.#gathered += sign;
    }
  }
}
