import type { Digest } from '@tributary/proto';

/** Names one attempt at one round of one job: "<jobId>/<round>/<attempt>". */
export type RoundKey = `${string}/${number}/${number}`;

/** What identifies the training that an order asks for. */
export interface RoundRef {
  readonly jobId: string;
  readonly round: number;
  readonly attempt: number;
}

export const roundKey = ({ jobId, round, attempt }: RoundRef): RoundKey => `${jobId}/${round}/${attempt}`;

/** What a key names. */
export function roundRef(key: RoundKey): RoundRef {
  const [jobId = '', round, attempt] = key.split('/');
  return { jobId, round: Number(round), attempt: Number(attempt) };
}

/** A training order after verification: references and digests only. */
export interface RoundOrder extends RoundRef {
  readonly baseDigest: Digest;
  /** Its update leaves masked, once the cohort that masks is known. */
  readonly secure: boolean;
}

/** True where `later` is of the same job and can only be open after `earlier` was closed: rounds follow each other. */
export function supersedes(later: RoundRef, earlier: RoundRef): boolean {
  if (later.jobId !== earlier.jobId) return false;
  return later.round > earlier.round || (later.round === earlier.round && later.attempt > earlier.attempt);
}
