import type { Digest, EntryBody, ErrorCode, RoundKind } from '@tributary/proto';

/** What a member of the cohort may still do. Only live members can report. */
export type MemberFate = 'Live' | 'Declined' | 'Refused' | 'Revoked';

export interface MemberState {
  readonly site: string;
  readonly agentId: string;
  readonly fate: MemberFate;
  /** Where declined or refused: why, and the entry that says so. */
  readonly code?: string;
  readonly detail?: string;
  readonly seq?: number;
  /** Where refused: the upload. */
  readonly uploadId?: string;
}

/** An update that was accepted: its spool is durable, its values are checked, it is in the sum. */
export interface AcceptedUpdate {
  readonly site: string;
  readonly agentId: string;
  readonly uploadId: string;
  readonly headerDigest: Digest;
  readonly sealDigest: Digest;
  /** Bytes of ciphertext. */
  readonly bytes: number;
  /** Sequence of `update.accepted`. */
  readonly seq: number;
}

export interface StageState {
  readonly name: string;
  /** Milliseconds that the stage lasts at most. */
  readonly deadlineMs: number;
  /** Fewest reports with which it closes. */
  readonly minimum: number;
  /** What each site reported: the digest of its message, or of the seal of its update. */
  readonly reports: ReadonlyMap<string, Digest>;
  /** Time at which it ends; absent until it is open. */
  readonly deadlineAt?: number;
  /** Sites that reported, sorted; absent until it is closed. */
  readonly participants?: readonly string[];
  readonly transcriptDigest?: Digest;
  /** Sequence of `stage.closed`; absent until then. */
  readonly closedSeq?: number;
}

/**
 * Open: a stage takes reports. Summing: all stages are closed and the result is computed. Committed and Failed are
 * final.
 */
export type RoundPhase = 'Open' | 'Summing' | 'Committed' | 'Failed';

/** One attempt of a round of a job. */
export interface RoundState {
  readonly jobId: string;
  /** From 1; a round of statistics is round 0, one of evaluation comes after the last one. */
  readonly round: number;
  /** From 0; a failed round is tried again with the next attempt on the same base. */
  readonly attempt: number;
  /** Absent for training. */
  readonly kind?: Exclude<RoundKind, 'Training'>;
  readonly mode: string;
  readonly phase: RoundPhase;
  readonly openedSeq: number;
  readonly openedAt: number;
  readonly stages: readonly StageState[];
  /** Index of the open stage; the number of stages where all are closed. */
  readonly stage: number;
  /** Reports with which a stage of updates closes early; 0: when every live member has reported. */
  readonly target: number;
  /** By site, sorted. */
  readonly cohort: ReadonlyMap<string, MemberState>;
  readonly baseDigest: Digest;
  readonly layoutDigest: Digest;
  /** The statistics by which sites scale features in this round. */
  readonly statisticsDigest?: Digest;
  readonly vectorLength: number;
  /** Public randomness of the cohort, standard base64. */
  readonly selectionSeed?: string;
  /** Of a round of secure aggregation. */
  readonly secure?: NonNullable<EntryBody<'round.opened'>['secure']>;
  /** Standard base64 of the Curve25519 public key to which content keys are sealed. */
  readonly roundKey: string;
  /** By site, in the order of acceptance. */
  readonly updates: ReadonlyMap<string, AcceptedUpdate>;
  /** Where finished: the closing entry. */
  readonly closedSeq?: number;
  readonly closedAt?: number;
  /** Where committed. */
  readonly modelDigest?: Digest;
  /** Where failed. */
  readonly code?: ErrorCode;
  readonly detail?: string;
}
