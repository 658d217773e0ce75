import type { AlertState } from '../../domain/streams/alerts.js';
import type { FaultReason } from '../../domain/streams/fault.js';
import type { KeyState } from '../../domain/streams/key-state.js';
import type { Decision } from '../../domain/streams/key-step.js';
import type { PredictionResult } from '../../serving-ports.js';
import type { InboundMessage } from '../../streams-ports.js';

/** A message until it is acknowledged. */
export interface Delivery {
  readonly message: InboundMessage;
  /** Steps of it that are not done with. */
  open: number;
}

/** One key of a pipeline. */
export interface KeyEntry {
  readonly key: string;
  /** After its newest event. */
  state: KeyState;
  /** After the newest of its decisions that was judged. */
  alerts: AlertState;
  /** What may be written: everything that came of it, and before it, is out. */
  settled: { readonly state: KeyState; readonly alerts: AlertState };
  /** Steps that are not settled. */
  open: number;
  /** Counts what should be written, and what of it was. */
  changes: number;
  written: number;
}

export interface Letter {
  readonly reason: FaultReason;
  readonly field?: string;
}

/** What one event brought about, to be carried out in the order of steps. */
export interface Step {
  /** Absent where a message could not be read. */
  readonly keyed?: {
    readonly entry: KeyEntry;
    readonly state: KeyState;
    /** The state, not the result alone, is what the message is acknowledged for. */
    readonly durable: boolean;
  };
  /** Absent for events of the clock. */
  readonly delivery?: Delivery;
  readonly sinceMs: number;
  readonly letters: readonly Letter[];
  readonly decisions: readonly Decision[];
}

/** What became of a decision: a row of an answer, or nothing, because the model cannot answer for it. */
export type Outcome =
  | { readonly result: PredictionResult; readonly row: number; readonly issues: number }
  | { readonly refused: Letter };
