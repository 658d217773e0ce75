import type { KeyState } from '../key-state.js';
import type { TriggerHit } from '../triggers/trigger.js';

/** A stretch of time that is complete, from `startMs` up to but without `endMs`. */
export interface ClosedWindow {
  readonly startMs: number;
  readonly endMs: number;
  readonly trigger?: TriggerHit;
}

export interface Advance {
  readonly state: KeyState;
  /** In the order of their ends; each holds at least one sample. */
  readonly windows: readonly ClosedWindow[];
}

/** How one type of windows cuts time. */
export interface WindowPlan {
  readonly initialTrigger: unknown;
  /**
   * Raises the watermark, closes what ends before it, and lets go of runs that no open window can need. Gives the same
   * windows in whatever steps the watermark rises.
   */
  advance(state: KeyState, watermarkMs: number): Advance;
  /** The watermark at which everything that is held closes. */
  flushedMs(state: KeyState): number;
}
