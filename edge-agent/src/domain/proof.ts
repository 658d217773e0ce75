import {
  decodeEntry,
  leafHash,
  TributaryError,
  verifyInclusion,
  verifyTreeHead,
  type LedgerEntry,
  type SignedTreeHead,
} from '@tributary/proto';

import type { RawEntry } from '../coordinator-messages.js';

/** The log that the agent pinned when it joined. */
export interface PinnedLog {
  readonly logId: string;
  /** Ed25519 public key of tree heads, 32 bytes. */
  readonly logKey: Uint8Array;
}

/** Throws PROOF_INVALID unless the pinned log signed this head. */
export function requireHead(log: PinnedLog, head: SignedTreeHead): void {
  try {
    verifyTreeHead(log.logKey, head);
  } catch (cause) {
    throw new TributaryError(
      'PROOF_INVALID',
      `a tree head of ${String(head.treeSize)} entries is not one of log ${log.logId}`,
      { cause },
    );
  }
}

/** The entry behind `raw`; throws PROOF_INVALID unless it is entry number `raw.seq` of the tree of `head`. */
export function provenEntry(head: SignedTreeHead, raw: RawEntry): LedgerEntry {
  if (!verifyInclusion(raw.seq, head.treeSize, leafHash(raw.entry), raw.path, head.rootHash)) {
    throw new TributaryError(
      'PROOF_INVALID',
      `entry ${String(raw.seq)} is not in the tree of ${String(head.treeSize)} entries`,
    );
  }
  let entry: LedgerEntry;
  try {
    entry = decodeEntry(raw.entry);
  } catch (cause) {
    // A type that only a newer coordinator knows: refused, but not because of the proof.
    if (cause instanceof TributaryError && cause.code === 'FORMAT_UNSUPPORTED') throw cause;
    throw new TributaryError(
      'PROOF_INVALID',
      `entry ${String(raw.seq)} is in the log, but this build cannot read it`,
      { cause },
    );
  }
  if (entry.seq !== raw.seq)
    throw new TributaryError(
      'PROOF_INVALID',
      `entry ${String(raw.seq)} says that it is number ${String(entry.seq)}`,
    );
  return entry;
}
