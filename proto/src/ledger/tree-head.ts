import { encodeHex } from '../byte-text.js';
import { sha256 } from '../signing/hash.js';
import { verifySignature, type SigningKey } from '../signing/ed25519.js';
import { transcript } from '../signing/transcript.js';
import { TributaryError } from '../errors/tributary-error.js';

const TIME = /^(?!0000)\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** Whether a text is a time as heads have it: RFC 3339, UTC, milliseconds, from year 1. Such times compare as texts. */
export function isHeadTime(text: string): boolean {
  const time = TIME.test(text) ? Date.parse(text) : Number.NaN;
  return !Number.isNaN(time) && new Date(time).toISOString() === text;
}

/** What the log was at a time: the coordinator commits itself to it by signing. */
export interface TreeHead {
  /** Lower-case hex SHA-256 of the public key that signs tree heads. */
  readonly logId: string;
  /** Entries in the tree. */
  readonly treeSize: number;
  /** RFC 6962 root, 32 bytes. */
  readonly rootHash: Uint8Array;
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
}

export interface SignedTreeHead extends TreeHead {
  /** Ed25519, 64 bytes, over the "tree-head" transcript. */
  readonly signature: Uint8Array;
}

/** The id of a log: lower-case hex SHA-256 of its 32-byte public key. */
export function logIdOf(publicKey: Uint8Array): string {
  return encodeHex(sha256(publicKey));
}

/** Signs a tree head; `head.logId` must be that of `key`. */
export function signTreeHead(key: Pick<SigningKey, 'publicKey' | 'sign'>, head: TreeHead): SignedTreeHead {
  if (head.logId !== logIdOf(key.publicKey)) throw new TributaryError('INTERNAL', 'tree head of another log');
  const { logId, treeSize, rootHash, time } = head;
  return { logId, treeSize, rootHash, time, signature: key.sign(transcript('tree-head', headFields(head))) };
}

/**
 * Checks a tree head against the key of the log. Throws INVALID_ARGUMENT for a malformed one, SIGNATURE_INVALID for one
 * of another log or key.
 */
export function verifyTreeHead(publicKey: Uint8Array, head: SignedTreeHead): void {
  requireHeadForm(head, 'treeHead', 0);
  if (head.logId !== logIdOf(publicKey))
    throw new TributaryError('SIGNATURE_INVALID', 'the tree head is of another log');
  if (!verifySignature(publicKey, transcript('tree-head', headFields(head)), head.signature)) {
    throw new TributaryError('SIGNATURE_INVALID', 'the signature of the tree head does not verify');
  }
}

/** Throws INVALID_ARGUMENT, naming the field of `what`, for a head that nobody can have signed. */
export function requireHeadForm({ treeSize, rootHash, time }: TreeHead, what: string, least: 0 | 1): void {
  if (!Number.isSafeInteger(treeSize) || treeSize < least) throw malformed(what, 'treeSize');
  if (rootHash.length !== 32) throw malformed(what, 'rootHash');
  if (!isHeadTime(time)) throw malformed(what, 'time');
}

/** What a signature of a head covers: that of the log, and with the agent's id those of sites. */
export const headFields = ({ logId, treeSize, rootHash, time }: TreeHead) =>
  ({ logId, rootHash: encodeHex(rootHash), time, treeSize: String(treeSize), v: 1 }) as const;

function malformed(what: string, name: string): TributaryError {
  const field = `${what}.${name}`;
  return new TributaryError('INVALID_ARGUMENT', `${field} is malformed`, { fields: { field } });
}
