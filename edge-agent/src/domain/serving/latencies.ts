import { LIMITS } from '@tributary/proto';

const KEPT = LIMITS.latenciesKept;

/** Latencies of the newest requests. */
export class Latencies {
  readonly #kept = new Float64Array(KEPT);
  #count = 0;

  /** Takes a latency in milliseconds. */
  add(ms: number): void {
    this.#kept[this.#count % KEPT] = ms;
    this.#count += 1;
  }

  /** The nearest-rank quantiles of the newest {@link KEPT} latencies, each of 0 to 1; NaN where there is none. */
  quantiles(...ranks: readonly number[]): readonly number[] {
    const sorted = this.#kept.slice(0, Math.min(this.#count, KEPT)).sort();
    return ranks.map((rank) => sorted[Math.max(0, Math.ceil(rank * sorted.length) - 1)] ?? Number.NaN);
  }
}
