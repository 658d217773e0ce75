import { Latencies } from '../../domain/serving/latencies.js';
import { PredictionQueue, type Waiting } from '../../domain/serving/prediction-queue.js';
import type {
  BatchRule,
  PredictionFigures,
  PredictionRequest,
  PredictionResult,
  RowIssue,
} from '../../serving-ports.js';

/** A request until its answer. */
export interface Pending extends Waiting {
  readonly request: PredictionRequest;
  readonly resolve: (result: PredictionResult) => void;
  readonly reject: (error: Error) => void;
  /** Workers that died over it. */
  losses: number;
  issues: readonly RowIssue[];
}

/** Batches of one model at work at the same time: one is computed while the next is encoded. */
const BATCHES_AT_WORK = 2;

/** The requests of one model, whatever version answers them, and its figures. */
export class ModelLane {
  readonly model: string;
  readonly queue: PredictionQueue<Pending>;
  readonly latencies = new Latencies();
  active: number | undefined;
  running = 0;
  requests = 0;
  rows = 0;
  batches = 0;
  refused = 0;
  failed = 0;
  issues = 0;
  #cancel: (() => void) | undefined;

  constructor(model: string, rule: BatchRule) {
    this.model = model;
    this.queue = new PredictionQueue(rule);
  }

  get hasRoom(): boolean {
    return this.running < BATCHES_AT_WORK;
  }

  /** Calls `action` after `ms`, once, unless that is agreed already; 0 is after what arrives in this turn. */
  later(ms: number, action: () => void): void {
    if (this.#cancel !== undefined) return;
    const act = (): void => {
      this.#cancel = undefined;
      action();
    };
    if (ms === 0) {
      const immediate = setImmediate(act);
      this.#cancel = () => {
        clearImmediate(immediate);
      };
      return;
    }
    const timer = setTimeout(act, ms);
    this.#cancel = () => {
      clearTimeout(timer);
    };
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  figures(): PredictionFigures {
    const [p50Ms = Number.NaN, p99Ms = Number.NaN] = this.latencies.quantiles(0.5, 0.99);
    const { model, requests, rows, batches, refused, failed, issues } = this;
    return { model, requests, rows, batches, refused, failed, issues, p50Ms, p99Ms };
  }
}
