import type { Digest } from '@tributary/proto';

import type { FederationState, JobState } from './federation-state.js';
import { isUnfinished } from './rounds/round-progress.js';

/** Blobs that the ledger state names: of unfinished jobs, and of registered models. */
export function liveBlobs(state: FederationState): ReadonlySet<Digest> {
  const live = new Set<Digest>();
  for (const job of state.jobs.values()) for (const digest of blobsOf(job)) live.add(digest);
  for (const { versions } of state.models.values()) {
    for (const { manifestDigest, weightsDigest } of versions) live.add(manifestDigest).add(weightsDigest);
  }
  return live;
}

/** None of a job that is over. */
export function blobsOf({ finishedAt, base, round, statisticsDigest }: JobState): readonly Digest[] {
  if (finishedAt !== undefined || base === undefined) return [];
  return [
    base.modelDigest,
    ...(statisticsDigest === undefined ? [] : [statisticsDigest]),
    ...(isUnfinished(round) ? [round.baseDigest] : []),
  ];
}
