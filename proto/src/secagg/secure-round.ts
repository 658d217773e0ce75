import type { TranscriptFields } from '../signing/transcript.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { Digest } from '../ids.js';

/** The stages of a secure round, in order. */
export const SECURE_STAGES = ['advertise', 'share', 'mask', 'agree', 'unmask'] as const;

export type SecureStage = (typeof SECURE_STAGES)[number];

/** Stages in which members say something: in `mask` they upload a vector, whose header is signed. */
export type SpokenStage = Exclude<SecureStage, 'mask'>;

/** What every signature and key of one attempt at a round is bound to. */
export type SecureRound = Pick<TranscriptFields['stage'], 'wire' | 'logId' | 'jobId' | 'round' | 'attempt'>;

/** What masks are bound to besides: sites that saw different models or cohorts have masks that do not cancel. */
export interface MaskBinding {
  readonly round: SecureRound;
  readonly baseDigest: Digest;
  /** `OpenCohort.digest`. */
  readonly cohortDigest: Digest;
}

/** What somebody did that an honest agent does not do; the ledger names it. */
export type CulpritReason =
  /** A dealer: more of its holders than may collude could not open their shares. */
  | 'SharesDoNotOpen'
  /** A dealer: shares that it signed do not make the secret that it committed to. */
  | 'SharesDoNotCombine'
  /** A holder: it gave another share than its dealer signed. */
  | 'ShareAltered'
  /** A holder: it gave no share where it had one. */
  | 'SharesWithheld'
  /** A holder: it says of more dealers than may collude that their shares do not open. */
  | 'SharesRefused'
  /** A dealer or a holder: a share is missing that one says it dealt and the other that it does not open. One of them lies. */
  | 'SharesDisputed';

/** Somebody who cannot be honest, and why. */
export interface Culprit {
  readonly agentId: string;
  readonly stage: SecureStage;
  readonly reason: CulpritReason;
}

/** SECAGG_MESSAGE_INVALID, naming the agent and the stage in text and fields. */
export function blame(agentId: string, stage: SecureStage, problem: string, cause?: unknown): TributaryError {
  return new TributaryError('SECAGG_MESSAGE_INVALID', `${stage} of ${agentId}: ${problem}`, {
    cause,
    fields: { agentId, stage },
  });
}

/** The fields of a round without anything else that an object may carry: what digests and keys are made of. */
export function roundFields({ wire, logId, jobId, round, attempt }: SecureRound): SecureRound {
  return { wire, logId, jobId, round, attempt };
}

/** Order of agents everywhere in a secure round: by UTF-16 code units of their ids. */
export function byAgentId<T extends { readonly agentId: string }>(items: readonly T[]): readonly T[] {
  return [...items].sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
}

/** Whether ids are ascending and distinct. */
export function isAscending(ids: readonly string[]): boolean {
  return ids.every((id, index) => index === 0 || (ids[index - 1] ?? '') < id);
}
