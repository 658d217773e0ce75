import type { LedgerEntry } from '@tributary/proto';
import { Histogram, type Registry } from 'prom-client';

/** Seconds: rounds of small models take seconds, those of large ones a night. */
const BUCKETS = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200];

interface Attempt {
  readonly jobId: string;
  readonly round: number;
  readonly attempt: number;
}

/** How long attempts of rounds take, by the times of their entries. */
export class RoundDurations {
  readonly #seconds: Histogram<'outcome'>;
  /** When the open attempt of each job was opened: one a job at most. */
  readonly #opened = new Map<string, { readonly name: string; readonly at: number }>();

  constructor(registry: Registry) {
    this.#seconds = new Histogram({
      name: 'tributary_round_duration_seconds',
      help: 'From the opening of an attempt of a round to its end, by outcome.',
      labelNames: ['outcome'],
      buckets: BUCKETS,
      registers: [registry],
    });
    for (const outcome of ['committed', 'failed']) this.#seconds.zero({ outcome });
  }

  /** Attempts that were open at a restart are not counted. */
  observe(entry: LedgerEntry): void {
    if (entry.type === 'round.opened')
      this.#opened.set(entry.body.jobId, { name: nameOf(entry.body), at: Date.parse(entry.time) });
    if (entry.type === 'round.committed') this.#end('committed', entry.body, entry.time);
    if (entry.type === 'round.failed') this.#end('failed', entry.body, entry.time);
  }

  #end(outcome: string, attempt: Attempt, time: string): void {
    const opened = this.#opened.get(attempt.jobId);
    this.#opened.delete(attempt.jobId);
    if (opened?.name !== nameOf(attempt)) return;
    this.#seconds.observe({ outcome }, Math.max(0, Date.parse(time) - opened.at) / 1_000);
  }
}

const nameOf = ({ round, attempt }: Attempt): string => `${String(round)}/${String(attempt)}`;
