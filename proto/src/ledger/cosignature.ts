import { encodeHex } from '../byte-text.js';
import { TributaryError } from '../errors/tributary-error.js';
import { verifySignature, type SigningKey } from '../signing/ed25519.js';
import { transcript } from '../signing/transcript.js';
import { isHeadTime, type TreeHead } from './tree-head.js';

/*
 * A site that has found a head to continue every head it saw before says so with its signature. Who compares the
 * signatures of several sites knows that no two of them were shown different histories: the witness cosignatures of
 * https://c2sp.org/tlog-cosignature, over this project's own transcripts.
 */

/** A head that an agent has checked, and its word for it. */
export interface Cosignature extends TreeHead {
  readonly agentId: string;
  /** Ed25519 by the identity key of the agent, 64 bytes, over the "cosignature" transcript. `time` is that of the site. */
  readonly signature: Uint8Array;
}

/** Signs a head that was checked; `time` is when, RFC 3339 in UTC with milliseconds. */
export function signCosignature(
  key: Pick<SigningKey, 'sign'>,
  agentId: string,
  head: Pick<TreeHead, 'logId' | 'treeSize' | 'rootHash'>,
  time: string,
): Cosignature {
  const { logId, treeSize, rootHash } = head;
  const said = { agentId, logId, treeSize, rootHash, time };
  return { ...said, signature: key.sign(cosignatureTranscript(said)) };
}

/** Throws INVALID_ARGUMENT for a malformed one, SIGNATURE_INVALID unless `identityKey` signed it. */
export function verifyCosignature(identityKey: Uint8Array, cosignature: Cosignature): void {
  const { treeSize, rootHash, time, signature } = cosignature;
  if (!Number.isSafeInteger(treeSize) || treeSize < 1) throw malformed('treeSize');
  if (rootHash.length !== 32) throw malformed('rootHash');
  if (!isHeadTime(time)) throw malformed('time');
  if (verifySignature(identityKey, cosignatureTranscript(cosignature), signature)) return;
  throw new TributaryError('SIGNATURE_INVALID', 'the cosignature does not match its head and key');
}

function cosignatureTranscript(said: Omit<Cosignature, 'signature'>): Uint8Array {
  const { agentId, logId, treeSize, rootHash, time } = said;
  return transcript('cosignature', {
    agentId,
    logId,
    rootHash: encodeHex(rootHash),
    time,
    treeSize: String(treeSize),
    v: 1,
  });
}

function malformed(field: string): TributaryError {
  return new TributaryError('INVALID_ARGUMENT', `cosignature.${field} is malformed`, { fields: { field } });
}
