import {
  canonicalize,
  digestOf,
  parseCanonical,
  requireFormat,
  LIMITS,
  TributaryError,
  isJsonObject,
  type Digest,
  type ErrorCode,
} from '@tributary/proto';

import type { RoundRef } from './round-key.js';

/** Version of a line of the decision log. */
export const DECISION_VERSION = 1;

/** What the site decided about one order, and by which rule. */
export interface Decision extends RoundRef {
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  readonly orderId: string;
  readonly job: string;
  readonly dataset: string;
  readonly authorKey: string;
  readonly allowed: boolean;
  readonly code: ErrorCode | '';
  readonly rule: string;
  readonly detail: string;
  /** Digest of the policy document that was in force; empty where there was none. */
  readonly policyDigest: Digest | '';
}

/** Which rows an update was trained on: what the site can show later, with its secret and the rows. */
export interface TrainingNote extends RoundRef {
  readonly type: 'Trained';
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  readonly job: string;
  readonly dataset: string;
  /** As it leaves with the update. */
  readonly dataVersion: string;
}

/** What the site decided about one rollout, and by which rule. */
export interface RolloutDecision {
  readonly type: 'Rollout';
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  readonly orderId: string;
  readonly rolloutId: string;
  readonly model: string;
  readonly version: number;
  /** False where the model is to answer no more. */
  readonly serves: boolean;
  readonly authorKey: string;
  readonly allowed: boolean;
  readonly code: ErrorCode | '';
  readonly rule: string;
  readonly detail: string;
  /** Digest of the policy document that was in force; empty where there was none. */
  readonly policyDigest: Digest | '';
}

/** The site itself goes back to the version before. */
export interface RollbackNote {
  readonly type: 'RolledBack';
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  readonly model: string;
  readonly version: number;
  readonly previous?: number;
}

/** A line that is no decision about training. */
export type DecisionNote = TrainingNote | RolloutDecision | RollbackNote;

/** Digest that the first line names as the one before it. */
const DECISION_ROOT: Digest = digestOf(new Uint8Array(0));

/** The canonical bytes of a line (without the line end) after a line of digest `prev`. */
export function encodeDecision(decision: Decision | DecisionNote, seq: number, prev: Digest): Uint8Array {
  return canonicalize({ v: DECISION_VERSION, seq, prev, ...decision });
}

/** End of a decision log: what the next line continues. */
export interface DecisionHead {
  readonly count: number;
  readonly digest: Digest;
}

export const EMPTY_DECISIONS: DecisionHead = Object.freeze({ count: 0, digest: DECISION_ROOT });

/** The head after `line`; throws STORE_CORRUPT where the line does not continue `head`, FORMAT_UNSUPPORTED if newer. */
export function followDecision(head: DecisionHead, line: Uint8Array): DecisionHead {
  const value = parseCanonical(line, LIMITS.ledgerEntryBytes);
  if (!isJsonObject(value)) throw broken(head, 'not an object');
  const { v, seq, prev } = value;
  requireFormat(v, 'the decision log', DECISION_VERSION);
  if (v !== DECISION_VERSION || seq !== head.count || prev !== head.digest)
    throw broken(head, 'does not continue the line before it');
  return { count: head.count + 1, digest: digestOf(line) };
}

function broken(head: DecisionHead, what: string): TributaryError {
  return new TributaryError('STORE_CORRUPT', `decision log, line ${String(head.count + 1)}: ${what}`);
}
