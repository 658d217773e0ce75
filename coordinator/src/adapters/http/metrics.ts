import { isErrorCode, type LedgerEntry } from '@tributary/proto';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

/** What a scrape asks for: read at that moment, so that nothing has to be kept in step. */
export interface MetricSources {
  ledgerSize(): number;
  connectedAgents(): number;
  /** Jobs that wait or run. */
  openJobs(): number;
}

/**
 * The coordinator's metrics. Labels come from closed sets only (codes, outcomes, methods): never one series per agent,
 * site or job.
 */
export class Metrics {
  readonly registry = new Registry();
  readonly #rounds: Counter<'outcome'>;
  readonly #jobs: Counter<'outcome'>;
  readonly #accepted: Counter;
  readonly #refused: Counter<'code'>;
  readonly #acceptedBytes: Counter;
  readonly #calls: Counter<'method' | 'code'>;
  readonly #bytes: Counter<'direction'>;

  constructor() {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.#rounds = new Counter({
      name: 'tributary_rounds_total',
      help: 'Rounds by outcome.',
      labelNames: ['outcome'],
      registers,
    });
    this.#jobs = new Counter({
      name: 'tributary_jobs_total',
      help: 'Jobs by outcome.',
      labelNames: ['outcome'],
      registers,
    });
    this.#accepted = new Counter({
      name: 'tributary_updates_accepted_total',
      help: 'Updates accepted.',
      registers,
    });
    this.#refused = new Counter({
      name: 'tributary_updates_refused_total',
      help: 'Updates refused, by code.',
      labelNames: ['code'],
      registers,
    });
    this.#acceptedBytes = new Counter({
      name: 'tributary_update_bytes_total',
      help: 'Ciphertext bytes of accepted updates.',
      registers,
    });
    this.#calls = new Counter({
      name: 'tributary_calls_total',
      help: 'Finished calls by method and code.',
      labelNames: ['method', 'code'],
      registers,
    });
    this.#bytes = new Counter({
      name: 'tributary_payload_bytes_total',
      help: 'Payload bytes of chunks, received and sent.',
      labelNames: ['direction'],
      registers,
    });
  }

  /** Adds the gauges; call once, when what they read exists. */
  addSources(sources: MetricSources): void {
    const registers = [this.registry];
    const gauge = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    };
    gauge('tributary_ledger_entries', 'Entries in the ledger.', () => sources.ledgerSize());
    gauge('tributary_connected_agents', 'Agents whose stream is open.', () => sources.connectedAgents());
    gauge('tributary_jobs_open', 'Jobs that wait or run.', () => sources.openJobs());
  }

  /** Counts a decision once it is durable. */
  observe(entry: LedgerEntry): void {
    switch (entry.type) {
      case 'round.opened':
        this.#rounds.inc({ outcome: 'opened' });
        return;
      case 'round.committed':
        this.#rounds.inc({ outcome: 'committed' });
        return;
      case 'round.failed':
        this.#rounds.inc({ outcome: 'failed' });
        return;
      case 'update.accepted':
        this.#accepted.inc();
        this.#acceptedBytes.inc(Number(entry.body.bytes));
        return;
      case 'update.refused':
        // Entries hold free text here; a label must come from a closed set.
        this.#refused.inc({ code: isErrorCode(entry.body.code) ? entry.body.code : 'INTERNAL' });
        return;
      case 'job.completed':
        this.#jobs.inc({ outcome: 'completed' });
        return;
      case 'job.failed':
        this.#jobs.inc({ outcome: 'failed' });
        return;
      default:
    }
  }

  /** Counts a finished call; `code` is OK or a code of the error table. */
  call(method: string, code: string): void {
    this.#calls.inc({ method, code });
  }

  received(bytes: number): void {
    this.#bytes.inc({ direction: 'received' }, bytes);
  }

  sent(bytes: number): void {
    this.#bytes.inc({ direction: 'sent' }, bytes);
  }
}
