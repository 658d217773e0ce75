import { Latencies } from '../../domain/serving/latencies.js';
import type { FaultReason } from '../../domain/streams/fault.js';

/** Counts of one pipeline since the start. */
export interface PipelineFigures {
  readonly messages: number;
  /** Messages that the broker says it may have delivered before. */
  readonly redelivered: number;
  /** Messages that are acknowledged, or done with. */
  readonly completed: number;
  readonly results: number;
  readonly alerts: number;
  readonly batches: number;
  /** Samples or records that changed nothing, by why. */
  readonly skipped: Readonly<Record<'Late' | 'Duplicate', number>>;
  readonly deadLetters: Readonly<Partial<Record<FaultReason, number>>>;
  /** Writes of the state of keys. */
  readonly writes: number;
  /** Milliseconds from arrival to publishing, over the newest results; null without any. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

/** Counts what a pipeline does. */
export class StreamFigures {
  readonly latencies = new Latencies();
  readonly skipped = { Late: 0, Duplicate: 0 };
  readonly deadLetters: Partial<Record<FaultReason, number>> = {};
  messages = 0;
  redelivered = 0;
  completed = 0;
  results = 0;
  alerts = 0;
  batches = 0;
  writes = 0;

  deadLetter(reason: FaultReason): void {
    this.deadLetters[reason] = (this.deadLetters[reason] ?? 0) + 1;
  }

  taken(): PipelineFigures {
    const { messages, redelivered, completed, results, alerts, batches, writes } = this;
    const [p50Ms, p99Ms] = this.latencies
      .quantiles(0.5, 0.99)
      .map((ms) => (Number.isFinite(ms) ? Math.round(ms * 100) / 100 : null));
    return {
      messages,
      redelivered,
      completed,
      results,
      alerts,
      batches,
      skipped: { ...this.skipped },
      deadLetters: { ...this.deadLetters },
      writes,
      p50Ms: p50Ms ?? null,
      p99Ms: p99Ms ?? null,
    };
  }
}
