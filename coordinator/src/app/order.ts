import type { SignedTreeHead } from '@tributary/proto';

/** One ledger entry with the proof that it is in the tree of the order's head. */
export interface ProvenEntry {
  readonly seq: number;
  /** Canonical bytes, as they are hashed. */
  readonly entry: Uint8Array;
  /** RFC 6962 inclusion path, 32 bytes each. */
  readonly path: readonly Uint8Array[];
}

/** What an agent is asked to do: nothing but proven entries; it acts on the last one. */
export interface Order {
  /** The same for every repeat of this order to this agent. */
  readonly orderId: string;
  readonly treeHead: SignedTreeHead;
  readonly entries: readonly ProvenEntry[];
  /** Milliseconds left of the open stage; 0 where none is open. */
  readonly remainingMs: number;
}
