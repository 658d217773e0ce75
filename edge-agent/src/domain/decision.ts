import {
  canonicalize,
  decodeBase64,
  digestOf,
  parseCanonical,
  requireFormat,
  LIMITS,
  TributaryError,
  isJsonObject,
  transcript,
  verifySignature,
  type Digest,
  type ErrorCode,
  type JsonObject,
  type SecureStage,
} from '@tributary/proto';

import type { AlarmChoice, AlarmKind } from './ledger-alarm.js';
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

/** A stage of a secure round that the site did not answer, and why: it is out of the attempt. */
export interface StageRefusal extends RoundRef {
  readonly type: 'StageRefused';
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  readonly stage: SecureStage;
  readonly code: ErrorCode;
  readonly detail: string;
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

/** What the people of the site decided about a job; the statement is that of the `approval` transcript. */
export interface JobDecisionNote {
  readonly type: 'JobDecision';
  /** RFC 3339, UTC, milliseconds: as it was signed. */
  readonly time: string;
  readonly jobId: string;
  readonly job: string;
  readonly jobDigest: Digest;
  readonly decision: 'Approved' | 'Rejected';
  readonly approver: string;
  /** Base64, as the signatures. */
  readonly approverKey: string;
  readonly signature: string;
  readonly siteSignature: string;
}

/** Another policy than the one before is in force. */
export interface PolicyNote {
  readonly type: 'Policy';
  readonly time: string;
  /** Empty where there is none, or none that can be used. */
  readonly policyDigest: Digest | '';
}

/** What left for a job; the signed receipt itself. */
export interface EgressNote {
  readonly type: 'Egress';
  readonly time: string;
  readonly jobId: string;
  readonly job: string;
  readonly receipt: JsonObject;
  readonly signature: string;
}

/** The coordinator contradicted what the agent had verified; both signed heads, as the state holds them. */
export interface LedgerAlarmNote {
  readonly type: 'LedgerAlarm';
  readonly time: string;
  readonly kind: AlarmKind;
  readonly kept: JsonObject;
  readonly shown: JsonObject;
}

/** How the people of the site settled that. */
export interface LedgerResolvedNote {
  readonly type: 'LedgerResolved';
  readonly time: string;
  readonly kind: AlarmKind;
  readonly choice: AlarmChoice;
  /** Entries of the head that counts from here on. */
  readonly treeSize: number;
}

/** A line that signs all lines before it. */
export interface HeadNote {
  readonly type: 'Head';
  readonly time: string;
  readonly logId: string;
  readonly agentId: string;
  /** Base64 of the identity key. */
  readonly key: string;
  /** Over the `decision-head` transcript: count and digest are those of the lines before. */
  readonly signature: string;
}

/** A line that is no decision about training. */
export type DecisionNote =
  | TrainingNote
  | StageRefusal
  | RolloutDecision
  | RollbackNote
  | JobDecisionNote
  | PolicyNote
  | EgressNote
  | LedgerAlarmNote
  | LedgerResolvedNote;

/** Every line there is. */
export type DecisionLine = Decision | DecisionNote | HeadNote;

/** Digest that the first line names as the one before it. */
const DECISION_ROOT: Digest = digestOf(new Uint8Array(0));

/** The canonical bytes of a line (without the line end) after a line of digest `prev`. */
export function encodeDecision(decision: DecisionLine, seq: number, prev: Digest): Uint8Array {
  return canonicalize({ v: DECISION_VERSION, seq, prev, ...decision });
}

/** End of a decision log: what the next line continues. */
export interface DecisionHead {
  readonly count: number;
  readonly digest: Digest;
}

export const EMPTY_DECISIONS: DecisionHead = Object.freeze({ count: 0, digest: DECISION_ROOT });

/** A line that continues the ones before it. */
export interface FollowedLine {
  readonly head: DecisionHead;
  readonly fields: JsonObject;
  /** Base64 of the key, where the line signs those before it. */
  readonly signedBy?: string;
}

/**
 * Reads the line after `head`. Throws STORE_CORRUPT, naming it, where it does not continue `head` or signs it wrongly,
 * FORMAT_UNSUPPORTED if newer.
 */
export function followLine(head: DecisionHead, line: Uint8Array): FollowedLine {
  const fields = parsed(head, line);
  const { v, seq, prev, type } = fields;
  requireFormat(v, 'the decision log', DECISION_VERSION);
  if (v !== DECISION_VERSION || seq !== head.count || prev !== head.digest)
    throw broken(head, 'does not continue the line before it');
  const next = { count: head.count + 1, digest: digestOf(line) };
  return type === 'Head' ? { head: next, fields, signedBy: signerOf(head, fields) } : { head: next, fields };
}

function parsed(head: DecisionHead, line: Uint8Array): JsonObject {
  try {
    const value = parseCanonical(line, LIMITS.ledgerEntryBytes);
    if (isJsonObject(value)) return value;
  } catch {
    // Said below, with the number of the line.
  }
  throw broken(head, 'is not canonical JSON');
}

/** The key that signed `head`; throws where the signature does not hold. */
function signerOf(head: DecisionHead, fields: JsonObject): string {
  const text = (name: string): string => {
    const value = fields[name];
    if (typeof value === 'string') return value;
    throw broken(head, 'is not a signed head');
  };
  const place = { logId: text('logId'), agentId: text('agentId'), time: text('time') };
  const holds = verifySignature(
    decodeBase64(text('key'), 'key', 32),
    headTranscript(head, place),
    decodeBase64(text('signature'), 'signature', 64),
  );
  if (holds) return text('key');
  throw broken(head, 'has a signature that does not match the lines before it');
}

/** What a signed head covers: the lines before it, as far as `head`. */
export function headTranscript(
  { count, digest }: DecisionHead,
  { logId, agentId, time }: Pick<HeadNote, 'logId' | 'agentId' | 'time'>,
): Uint8Array {
  return transcript('decision-head', { logId, agentId, count, digest, time });
}

function broken(head: DecisionHead, what: string): TributaryError {
  return new TributaryError('STORE_CORRUPT', `decision log, line ${String(head.count + 1)}: ${what}`);
}
