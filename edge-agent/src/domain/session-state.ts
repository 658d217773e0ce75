import type { ErrorCode } from '@tributary/proto';

import type { RoundKey, RoundOrder, RoundRef } from './round-key.js';

/** Where a round of this agent stands. */
export type RoundPhase =
  /** Accepted; another training runs first. */
  | { readonly name: 'Queued' }
  | { readonly name: 'Training' }
  /** In the outbox; waits for a connection, for its order to come again after a restart, or for a retry. */
  | { readonly name: 'Held'; readonly uploadId: string; readonly tries: number }
  | { readonly name: 'Uploading'; readonly uploadId: string; readonly tries: number }
  /** Accepted by the coordinator as ledger entry `seq`; kept until the round is settled. */
  | { readonly name: 'Delivered'; readonly uploadId: string; readonly seq: number }
  /** Refused by the coordinator; kept until the ledger entry that says so is proven. */
  | { readonly name: 'Refused'; readonly uploadId: string; readonly code: ErrorCode }
  /** Nothing to send: training failed. Remembered, so that a repeated order gets the same answer. */
  | { readonly name: 'Failed'; readonly code: ErrorCode; readonly detail: string };

export interface Round {
  readonly order: RoundOrder;
  /** The order was verified and allowed by this process: only then does anything of the round leave. */
  readonly confirmed: boolean;
  /** Of a secure round: the cohort that masks is known. */
  readonly maskable: boolean;
  readonly phase: RoundPhase;
}

/** What a site waits for; `waitMs` is 0 where nobody knows how long. */
export interface OrderWait {
  readonly reason: 'Approval' | 'Schedule';
  readonly waitMs: number;
}

export interface OrderAnswer {
  readonly orderId: string;
  readonly accepted: boolean;
  readonly code: ErrorCode | '';
  readonly detail: string;
  /** Where the site is not ready yet. */
  readonly wait?: OrderWait;
  /** The round that the order opens, where it was accepted. */
  readonly key?: RoundKey;
}

export type Link = 'Down' | 'AwaitingApproval' | 'Ready';

/** State of the agent's work: ids and digests, no tensors, no bytes. */
export interface SessionState {
  readonly link: Link;
  readonly rounds: readonly Round[];
  /** Orders being verified. */
  readonly verifying: readonly string[];
  /** The newest answers, oldest first: a repeated order gets the first answer again. */
  readonly answers: readonly OrderAnswer[];
  /** The newest settled round of each job, the job settled last at the end: what comes late for it, or before it, is over. */
  readonly closed: readonly RoundRef[];
  readonly stopping: boolean;
}

export const INITIAL_SESSION: SessionState = {
  link: 'Down',
  rounds: [],
  verifying: [],
  answers: [],
  closed: [],
  stopping: false,
};

/** What is found in the outbox when the process starts. */
export interface HeldUpdate extends RoundOrder {
  readonly uploadId: string;
}

/** What happens to process and connection. */
export type LinkEvent =
  | { readonly type: 'Recovered'; readonly held: readonly HeldUpdate[] }
  | { readonly type: 'LinkUp'; readonly approved: boolean }
  | { readonly type: 'LinkDown' }
  | { readonly type: 'Stop' };

/** What the coordinator orders, and what verification makes of it. */
export type OrderEvent =
  | { readonly type: 'OrderArrived'; readonly orderId: string }
  | { readonly type: 'RoundAllowed'; readonly orderId: string; readonly order: RoundOrder }
  | { readonly type: 'RoundSettled'; readonly orderId: string; readonly round: RoundRef }
  | {
      readonly type: 'OrderRefused';
      readonly orderId: string;
      readonly code: ErrorCode;
      readonly detail: string;
      readonly wait?: OrderWait;
      /** Where the order could be read so far. */
      readonly round?: RoundRef;
    };

/** What training and uploads come to. */
export type WorkEvent =
  | { readonly type: 'Trained'; readonly key: RoundKey; readonly uploadId: string }
  | {
      readonly type: 'TrainingFailed';
      readonly key: RoundKey;
      readonly code: ErrorCode;
      readonly detail: string;
    }
  | { readonly type: 'Uploaded'; readonly key: RoundKey; readonly seq: number }
  | {
      readonly type: 'UploadFailed';
      readonly key: RoundKey;
      readonly code: ErrorCode;
      readonly detail: string;
      /** Milliseconds after which the coordinator wants to be asked again, where it said so. */
      readonly retryAfterMs?: number;
    }
  | { readonly type: 'RetryDue'; readonly key: RoundKey }
  /** The cohort of a secure round is known: its update may be masked. */
  | { readonly type: 'Maskable'; readonly key: RoundKey }
  /** The site is out of a secure round: what was announced or asked contradicts what was before. */
  | {
      readonly type: 'SecureFailed';
      readonly key: RoundKey;
      readonly code: ErrorCode;
      readonly detail: string;
    };

export type SessionEvent = LinkEvent | OrderEvent | WorkEvent;

export type SessionEffect =
  | { readonly type: 'Verify'; readonly orderId: string }
  | { readonly type: 'Acknowledge'; readonly answer: OrderAnswer }
  | { readonly type: 'Train'; readonly key: RoundKey }
  | { readonly type: 'StopTraining'; readonly key: RoundKey }
  /** Answers the stage of a secure round that is open, as its newest order says. */
  | { readonly type: 'Follow'; readonly key: RoundKey }
  /** `renew`: write a new envelope under a new upload id first. */
  | { readonly type: 'Upload'; readonly key: RoundKey; readonly renew: boolean }
  | { readonly type: 'StopUpload'; readonly key: RoundKey }
  | {
      readonly type: 'RetryLater';
      readonly key: RoundKey;
      readonly tries: number;
      readonly retryAfterMs?: number;
    }
  /** The round is settled in the ledger: its outbox entry may go. */
  | { readonly type: 'Discard'; readonly key: RoundKey }
  | {
      readonly type: 'ReportFailure';
      readonly round: RoundRef;
      readonly code: ErrorCode;
      readonly detail: string;
    };

export interface SessionStep {
  readonly state: SessionState;
  readonly effects: readonly SessionEffect[];
}
