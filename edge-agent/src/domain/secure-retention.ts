import { LIMITS } from '@tributary/proto';

import { supersedes, type RoundRef } from './round-key.js';

/** A secure round of which the site holds secrets and shares. */
export interface HeldRound extends RoundRef {
  /** When the site began it, in milliseconds since the epoch; absent in records of before. */
  readonly begunAt?: number | undefined;
}

/** What the site knows of other rounds. */
export interface SeenRounds {
  /** The newest that it heard of: an order that opens one, or that settles it. */
  readonly newest: readonly RoundRef[];
  /** Whether no round of the job follows. */
  readonly hasEnded: (jobId: string) => boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * Whether nothing of a secure round is needed any more: its job has ended, a later round or attempt of the job was opened,
 * or it is so old that it cannot be open. Until then the coordinator may still ask for it, and another round of the same
 * job cannot be open beside it.
 */
export function isForgettable(held: HeldRound, { newest, hasEnded, now }: SeenRounds): boolean {
  if (hasEnded(held.jobId) || newest.some((round) => supersedes(round, held))) return true;
  return held.begunAt !== undefined && now - held.begunAt > LIMITS.secureRoundKeptMs;
}
