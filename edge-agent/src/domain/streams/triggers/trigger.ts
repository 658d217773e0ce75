/** A moment that a window lies around. */
export interface TriggerHit {
  readonly timeMs: number;
  /** From the hit before; null for the first, and after a gap. */
  readonly intervalMs: number | null;
}

/** A sample of the watched column; null where it is missing. */
export interface TriggerSample {
  readonly timeMs: number;
  /** 0 for a record. */
  readonly periodMs: number;
  readonly value: number | null;
}

/**
 * What finds triggers in the samples of one key, in the order of their times. Its state is plain data that JSON holds; hits
 * come in the order of their times.
 */
export interface TriggerFinder<State> {
  readonly initial: State;
  /** How far behind the newest sample a hit may lie, in milliseconds. */
  readonly lookbackMs: number;
  find(
    state: State,
    samples: readonly TriggerSample[],
  ): { readonly state: State; readonly hits: readonly TriggerHit[] };
}
