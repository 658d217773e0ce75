/** What the runner sees outside the ledger. */
export interface Observed {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly connectedSites: ReadonlySet<string>;
}

interface OfRound {
  readonly jobId: string;
  readonly round: number;
  readonly attempt: number;
}

/** The single next thing that the runner does; every kind but `wait` ends in a command that changes the state. */
export type NextStep =
  /** Initialise the model unless `job.base` holds one, then `start-job`. */
  | { readonly kind: 'start-job'; readonly jobId: string }
  /** Draw round key and seed, then `open-round`. */
  | ({ readonly kind: 'open-round' } & OfRound)
  | ({ readonly kind: 'close-stage'; readonly stage: string } & OfRound)
  | ({ readonly kind: 'fail-round'; readonly code: 'ROUND_UNDERSUBSCRIBED'; readonly detail: string } & OfRound)
  /** Finish the sum, store the model, then `commit-round`. */
  | ({ readonly kind: 'commit-round' } & OfRound)
  /** Store manifest, sign, then `register-model` with this version. */
  | { readonly kind: 'register-model'; readonly jobId: string; readonly version: number }
  | { readonly kind: 'complete-job'; readonly jobId: string }
  | {
      readonly kind: 'fail-job';
      readonly jobId: string;
      readonly code: 'JOB_DEADLINE' | 'JOB_RETRIES_EXHAUSTED';
      readonly detail: string;
    }
  /** The time to live after the end is over. */
  | { readonly kind: 'delete-job'; readonly name: string }
  /** Nothing until the state or the connections change, or until `untilMs` where given. */
  | { readonly kind: 'wait'; readonly untilMs?: number };
