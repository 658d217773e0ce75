import { isErrorCode, SOFTWARE_VERSION, type LedgerEntry } from '@tributary/proto';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

import { CONTENT_FAULTS } from '../../app/upload-refusals.js';
import { METHOD_PRINCIPALS } from '../../domain/authorisation.js';
import { RoundDurations } from './round-durations.js';

/** Codes of what was written by this coordinator and cannot be read any more. */
const DAMAGE: ReadonlySet<string> = new Set(['STORE_CORRUPT', 'SEAL_BROKEN']);

/** What a scrape asks for: read at that moment, so that nothing has to be kept in step. */
export interface MetricSources {
  ledgerSize(): number;
  connectedAgents(): number;
  /** Jobs that wait or run. */
  openJobs(): number;
  /** Of them, those that wait for their turn. */
  queuedJobs(): number;
  /** Identities that hold a head of this ledger which it contradicts. */
  contradictions(): number;
}

/**
 * The coordinator's metrics. Labels come from closed sets only (codes, outcomes, methods): never one series per agent,
 * site or job. Series that alerts read are there from the start: a counter that appears with its first event has no
 * increase.
 */
export class Metrics {
  readonly registry = new Registry();
  readonly #rounds: Counter<'outcome'>;
  readonly #jobs: Counter<'outcome'>;
  readonly #accepted: Counter;
  readonly #refused: Counter<'code'>;
  readonly #acceptedBytes: Counter;
  readonly #declined: Counter<'code'>;
  readonly #alarms: Counter<'code'>;
  readonly #durations: RoundDurations;
  readonly #calls: Counter<'method' | 'code'>;
  readonly #bytes: Counter<'direction'>;
  readonly #damage: Counter;

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
    this.#declined = new Counter({
      name: 'tributary_sites_declined_total',
      help: 'Sites that left a round, by the code of their reason.',
      labelNames: ['code'],
      registers,
    });
    this.#alarms = new Counter({
      name: 'tributary_alarms_total',
      help: 'Alarms raised, by code.',
      labelNames: ['code'],
      registers,
    });
    this.#durations = new RoundDurations(this.registry);
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
    this.#damage = new Counter({
      name: 'tributary_damage_total',
      help: 'Times that something stored was found altered or missing.',
      registers,
    });
    new Gauge({
      name: 'tributary_build_info',
      help: '1, with the version of the build.',
      labelNames: ['version'],
      registers,
    }).set({ version: SOFTWARE_VERSION }, 1);
    this.#begin();
  }

  #begin(): void {
    for (const outcome of ['opened', 'committed', 'failed']) this.#rounds.inc({ outcome }, 0);
    for (const outcome of ['completed', 'failed']) this.#jobs.inc({ outcome }, 0);
    for (const code of CONTENT_FAULTS) this.#refused.inc({ code }, 0);
    for (const code of ['POLICY_REFUSED', 'TRAINING_FAILED']) this.#declined.inc({ code }, 0);
    for (const code of ['LEDGER_FORKED', 'PROOF_INVALID']) this.#alarms.inc({ code }, 0);
    for (const method of Object.keys(METHOD_PRINCIPALS))
      for (const code of ['OK', 'INTERNAL']) this.#calls.inc({ method, code }, 0);
    for (const direction of ['received', 'sent']) this.#bytes.inc({ direction }, 0);
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
    gauge('tributary_jobs_queued', 'Jobs that wait for their turn.', () => sources.queuedJobs());
    gauge(
      'tributary_ledger_contradictions',
      'Agents and replicas that hold a signed head which this ledger contradicts.',
      () => sources.contradictions(),
    );
  }

  /** Counts a decision once it is durable. */
  observe(entry: LedgerEntry): void {
    this.#durations.observe(entry);
    switch (entry.type) {
      case 'round.opened':
        this.#rounds.inc({ outcome: 'opened' });
        return;
      case 'round.committed':
        this.#rounds.inc({ outcome: 'committed' });
        return;
      case 'round.failed':
        this.#rounds.inc({ outcome: 'failed' });
        this.fault(entry.body.code);
        return;
      case 'update.accepted':
        this.#accepted.inc();
        this.#acceptedBytes.inc(Number(entry.body.bytes));
        return;
      case 'update.refused':
        this.#refused.inc({ code: known(entry.body.code) });
        return;
      case 'site.declined':
        this.#declined.inc({ code: known(entry.body.code) });
        return;
      case 'alarm.raised':
        this.#alarms.inc({ code: known(entry.body.code) });
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
    this.fault(code);
  }

  /** Counts what failed for its code, where the code says that something stored is damaged. */
  fault(code: string): void {
    if (DAMAGE.has(code)) this.#damage.inc();
  }

  received(bytes: number): void {
    this.#bytes.inc({ direction: 'received' }, bytes);
  }

  sent(bytes: number): void {
    this.#bytes.inc({ direction: 'sent' }, bytes);
  }
}

/** Entries hold free text here; a label must come from a closed set. */
const known = (code: string): string => (isErrorCode(code) ? code : 'INTERNAL');
