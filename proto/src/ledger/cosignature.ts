import { TributaryError } from '../errors/tributary-error.js';
import { verifySignature, type SigningKey } from '../signing/ed25519.js';
import { transcript } from '../signing/transcript.js';
import { headFields, requireHeadForm, type TreeHead } from './tree-head.js';

/*
 * A site that has found a head to continue every head that it kept says so with its signature: it has seen the head, not
 * that every entry is right, and what its people gave up (`log resolve --accept`) counts no more. Who compares the
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
  requireHeadForm(cosignature, 'cosignature', 1);
  if (verifySignature(identityKey, cosignatureTranscript(cosignature), cosignature.signature)) return;
  throw new TributaryError('SIGNATURE_INVALID', 'the cosignature does not match its head and key');
}

function cosignatureTranscript({ agentId, ...head }: Omit<Cosignature, 'signature'>): Uint8Array {
  return transcript('cosignature', { agentId, ...headFields(head) });
}
