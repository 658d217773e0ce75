import { canonicalize } from '../canonical-json.js';
import type { Digest } from '../ids.js';
import { digestOf } from '../signing/hash.js';

/** What a member of a cohort said in a stage: the digest of its message, or of the seal of its update. */
export interface StageReport {
  readonly site: string;
  readonly digest: Digest;
}

/** What `stage.closed` commits to: who said what in the stage. `reports` in any order. */
export function stageTranscriptDigest(
  { jobId, round, attempt }: { readonly jobId: string; readonly round: number; readonly attempt: number },
  stage: string,
  reports: readonly StageReport[],
): Digest {
  const sorted = [...reports]
    .sort((left, right) => (left.site < right.site ? -1 : 1))
    .map(({ site, digest }) => ({ site, digest }));
  const context = 'tributary.v1/stage-transcript';
  return digestOf(canonicalize({ context, jobId, round, attempt, stage, reports: sorted }));
}
