import type { LedgerEntry, SignedTreeHead } from '@tributary/proto';

import type { Command } from '../domain/command.js';
import type { FederationState } from '../domain/federation-state.js';

/** Called after each durable append, in order, with the state after it. It returns at once and never throws. */
export type FederationListener = (entries: readonly LedgerEntry[], state: FederationState) => void;

/** An entry with its canonical bytes. */
export interface LedgerItem {
  readonly entry: LedgerEntry;
  readonly bytes: Uint8Array;
}

/** The one writer of the ledger, and what is known by folding it. */
export interface Federation {
  /** Lower-case hex SHA-256 of the tree-head key. */
  readonly logId: string;
  /** The fold of everything durable. */
  readonly state: FederationState;
  /** Entries in the ledger. */
  size(): number;
  /**
   * Decides, makes the entries durable, folds them, tells the listeners, then resolves with them: none where the
   * command was carried out before. Commands follow each other. Rejects with what `decide` throws, and with STORE_FULL
   * where the disk is full; the state is then as before.
   */
  execute(command: Command): Promise<readonly LedgerEntry[]>;
  /** The result unsubscribes. */
  subscribe(listener: FederationListener): () => void;
  /** Entries `start` (inclusive) to `end` (exclusive; at most and by default the size now). */
  entries(start: number, end?: number): AsyncIterable<LedgerItem>;
  /** Signed head of the newest durable tree. */
  treeHead(): Promise<SignedTreeHead>;
  /** RFC 6962 audit path. Rejects with INVALID_ARGUMENT outside the tree. */
  inclusionProof(seq: number, size: number): Promise<readonly Uint8Array[]>;
  consistencyProof(first: number, second: number): Promise<readonly Uint8Array[]>;
  /** Finishes queued commands, writes a snapshot. Further commands are rejected with SHUTTING_DOWN. */
  close(): Promise<void>;
}
