/** Options of the benchmarks; each case uses what concerns it. */
export interface BenchOptions {
  readonly agents: number;
  /** Size of one update: 10^6 bytes each, 250,000 float32 parameters. */
  readonly megabytes: number;
  /** Of `secagg`: parameters of an update, and agents that leave after sharing. */
  readonly parameters: number;
  readonly dropouts: number;
  /** Of `endurance`: rounds, and the part of the agents that drops out of each. */
  readonly rounds: number;
  readonly dropout: number;
  readonly rttMs: number;
  /** Seconds between two cuts of a line. */
  readonly breakSeconds: number;
  readonly runs: number;
  readonly entries: number;
  /** Model of `train`; all of them where absent. */
  readonly model: string | undefined;
  /** Case of `stream`; all of them where absent. */
  readonly streamCase: string | undefined;
  readonly note: (line: string) => void;
}

/** Medians over the runs; `floorMs` is the least that the same work could take, measured in the same run. */
export interface BenchResult {
  readonly ms: number;
  readonly floorMs: number;
  readonly ratio: number;
  readonly [figure: string]: number | string | boolean | Readonly<Record<string, number>>;
}

/** One result, or one for each thing measured, as they come. */
export type BenchCase = (
  options: BenchOptions,
) => Promise<BenchResult | readonly BenchResult[]> | AsyncIterable<object>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Three significant digits after rounding to microseconds: what a noisy machine supports. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** Milliseconds that `work` took. */
export async function timed(work: () => Promise<void> | void): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
