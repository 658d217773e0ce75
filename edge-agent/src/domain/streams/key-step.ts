import type { Row } from '@tributary/proto';

import type { StreamItem } from './decoding.js';
import type { FaultReason } from './fault.js';
import type { Gaps } from './gaps.js';
import type { KeyState } from './key-state.js';
import type { TriggerHit } from './triggers/trigger.js';

/** Names an input: one for each item of a message, chosen by the caller, given back when it is completed. */
export type InputId = number;

export type KeyEvent =
  | {
      readonly type: 'Item';
      readonly input: InputId;
      readonly item: StreamItem;
      /** Clock of the site. */
      readonly arrivalMs: number;
      readonly redelivered: boolean;
    }
  /** The clock of the site: closes the windows of a key that has been silent for `idleMs`. */
  | { readonly type: 'Clock'; readonly nowMs: number }
  /** The stream is over: closes everything. */
  | { readonly type: 'Flush' };

/** What is to be answered: one row. */
export interface Decision {
  /** The same whenever the same input gives it again: who receives results tells repeated ones by it. */
  readonly id: string;
  readonly key: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly row: Row;
  /** Samples or records in it. */
  readonly points: number;
  readonly gaps: Gaps;
  /** Texts for the topics of its result and alerts. */
  readonly labels: Readonly<Record<string, string>>;
  readonly trigger?: TriggerHit;
}

export type Completion =
  /** When the effects before it are out. */
  | 'Result'
  /** When they are out, and the state that came with it, or a later one, is on disk. */
  | 'State'
  /** When they are out; they are those of a dead letter, or none. */
  | 'DeadLetter'
  | 'Duplicate'
  | 'Late';

/**
 * What follows from an event, to be done in this order. The state that came with the effects of a step may be written to
 * disk only once they and all before them are out: a state on disk stands for results that nobody needs to repeat.
 */
export type KeyEffect =
  | { readonly type: 'Decide'; readonly decision: Decision }
  | { readonly type: 'DeadLetter'; readonly input: InputId; readonly reason: FaultReason }
  /** For metrics: samples or records that changed nothing. */
  | { readonly type: 'Skipped'; readonly reason: 'Late' | 'Duplicate'; readonly points: number }
  /** The input may be acknowledged, on the terms that `by` says. Each input is completed exactly once, in its own step. */
  | { readonly type: 'Completed'; readonly input: InputId; readonly by: Completion };

export interface KeyStep {
  readonly state: KeyState;
  readonly effects: readonly KeyEffect[];
}

/** The windows of the keys of one pipeline. */
export interface KeyStream {
  readonly initial: KeyState;
  /** One event of one key. Pure; never throws for anything that the decoder of the same pipeline gave. */
  step(key: string, state: KeyState, event: KeyEvent): KeyStep;
  /** Whether a key has nothing open and has been silent for so long that its state may be let go. */
  isForgettable(state: KeyState, nowMs: number): boolean;
}
