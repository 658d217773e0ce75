import {
  decodeBase64,
  isJsonObject,
  LIMITS,
  parseCanonical,
  parseModelRollout,
  rolloutVersion,
  TributaryError,
  verifyDocument,
  type Digest,
  type EntryOf,
  type LedgerEntry,
} from '@tributary/proto';

import type { RawOrder } from '../coordinator-messages.js';
import { rosterEvidence, type RosterEvidence } from './membership.js';
import { provenEntry, requireHead, type PinnedLog } from './proof.js';

/** An order to serve a version, or none of a model any more, with everything that was proven about it. */
export interface VerifiedRollout {
  /** Of the entry that says so: the agent follows nothing older. */
  readonly seq: number;
  readonly rolloutId: string;
  readonly model: string;
  /** The version that serves; the one that is taken back where none does. */
  readonly version: number;
  /** Base64 of the key whose signature over the rollout was verified. */
  readonly authorKey: string;
  readonly evidence: RosterEvidence;
  /** What the ledger says of the version; absent where the model is to answer no more. */
  readonly serves?: RegisteredVersion;
}

export interface RegisteredVersion {
  readonly manifestDigest: Digest;
  readonly weightsDigest: Digest;
  /** The coordinator's over the manifest. */
  readonly signature: Uint8Array;
}

/** Whether an order claims to be about a rollout. Nothing about it is verified. */
export function claimsRollout({ entries }: Pick<RawOrder, 'entries'>): boolean {
  const last = entries.at(-1);
  if (last === undefined) return false;
  try {
    const value = parseCanonical(last.entry, LIMITS.ledgerEntryBytes);
    const type = isJsonObject(value) ? value['type'] : undefined;
    return typeof type === 'string' && type.startsWith('rollout.');
  } catch {
    return false;
  }
}

/**
 * Verifies an order about a rollout: signature of the tree head, inclusion of each entry, the author's signature over
 * the rollout, and that the version is registered as it says. Throws PROOF_INVALID, SIGNATURE_INVALID, DOCUMENT_INVALID,
 * DOCUMENT_UNSUPPORTED.
 */
export function verifyRollout(log: PinnedLog, order: RawOrder): VerifiedRollout {
  requireHead(log, order.treeHead);
  const entries = order.entries.map((raw) => provenEntry(order.treeHead, raw));
  const last = entries.at(-1);
  if (last?.type !== 'rollout.applied' && last?.type !== 'rollout.undone')
    throw unproven('the last entry is not about a rollout');
  const applied = single(entries, 'rollout.applied');
  requireSigned(applied);
  const { rolloutId, model, version, authorKey } = applied.body;
  const evidence = rosterEvidence(entries);
  const found = { seq: last.seq, rolloutId, model, version, authorKey, evidence };
  if (last.type === 'rollout.undone') {
    if (last.body.model !== model || last.seq < applied.seq)
      throw unproven('the entry that undoes is about another rollout');
    if (last.body.rolloutId === rolloutId) return found;
  }
  return { ...found, serves: registered(entries, applied) };
}

function registered(entries: readonly LedgerEntry[], applied: EntryOf<'rollout.applied'>): RegisteredVersion {
  const { body } = single(entries, 'model.registered');
  const { model, version, manifestDigest } = applied.body;
  if (body.model !== model || body.version !== version || body.manifestDigest !== manifestDigest)
    throw unproven('the registered version is not that of the rollout');
  const signature = decodeBase64(body.signature, 'signature', 64);
  return { manifestDigest, weightsDigest: body.weightsDigest, signature };
}

/** The author's signature over what was written, and that the entry says what the document does. */
function requireSigned({ body }: EntryOf<'rollout.applied'>): void {
  const value = parseCanonical(new TextEncoder().encode(body.document), LIMITS.documentBytes);
  if (!isJsonObject(value)) throw unproven('the rollout document is not an object');
  verifyDocument(
    value,
    decodeBase64(body.authorKey, 'authorKey', 32),
    decodeBase64(body.signature, 'signature', 64),
  );
  const { spec } = parseModelRollout(value);
  if (spec.model !== body.model || rolloutVersion(spec) !== body.version)
    throw unproven('the rollout document names another version than its entry');
}

function single<T extends 'rollout.applied' | 'model.registered'>(
  entries: readonly LedgerEntry[],
  type: T,
): EntryOf<T> {
  const found = entries.filter((entry): entry is EntryOf<T> => entry.type === type);
  const [only] = found;
  if (only === undefined || found.length > 1) throw unproven(`the order proves one ${type} entry`);
  return only;
}

const unproven = (what: string): TributaryError => new TributaryError('PROOF_INVALID', what);
