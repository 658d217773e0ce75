import type { SignedTreeHead } from './tree-head.js';

/** A site that has signed a head of the ledger. */
export interface Witness {
  readonly site: string;
  readonly agentId: string;
  /** Entries of the newest head that it signed. */
  readonly treeSize: number;
  /** By the clock of the site. */
  readonly time: string;
}

/** What was found to be in order. */
export interface AuditReport {
  readonly logId: string;
  readonly head: SignedTreeHead;
  /** True where every entry up to the head was there and the tree over them has the signed root. */
  readonly whole: boolean;
  /** Entries with their bytes, and those given by their hash alone. */
  readonly entries: number;
  readonly redacted: number;
  /** Signatures that were verified: of authors, of deciding sites, of models, of rosters and hand-overs. */
  readonly signatures: number;
  /** Statements that could not be judged: what they refer to is not there, or no root was given. */
  readonly unchecked: number;
  /** One for each site, the newest first. With a root, only members of its newest roster. */
  readonly witnesses: readonly Witness[];
}

/**
 * Entries that `count` of the witnesses have signed for: the size of the smallest head among the newest `count`; undefined
 * where they are fewer.
 */
export function witnessedSize(witnesses: readonly Witness[], count: number): number | undefined {
  return count === 0 ? 0 : [...witnesses].sort((a, b) => b.treeSize - a.treeSize)[count - 1]?.treeSize;
}
