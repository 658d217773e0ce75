import {
  encodeBase64,
  LIMITS,
  TributaryError,
  verifyConsistency,
  type SignedTreeHead,
} from '@tributary/proto';
import { z } from 'zod';

import { requireHead, type PinnedLog } from '../domain/proof.js';
import type { StateStore } from '../ports.js';
import { bytesField, encodeRecord, readRecord } from './records.js';

/** Key of the newest verified tree head. */
export const TREE_HEAD = 'tree-head';

const headSchema = z.strictObject({
  logId: z.string(),
  treeSize: z.int().nonnegative(),
  rootHash: bytesField(32),
  time: z.string(),
  signature: bytesField(64),
});

/** Asks the coordinator for the proof that the tree of `first` entries is a prefix of that of `second`. */
export type ConsistencySource = (first: number, second: number) => Promise<readonly Uint8Array[]>;

/**
 * Watches that the coordinator's log only grows: every head that the agent sees must be consistent with the newest one
 * before it (RFC 9162, 2.1.4), so a rewritten or split log is noticed at the first order from it.
 */
export class Witness {
  readonly #store: StateStore;
  readonly #log: PinnedLog;
  #head: SignedTreeHead | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(store: StateStore, log: PinnedLog, head: SignedTreeHead | undefined) {
    this.#store = store;
    this.#log = log;
    this.#head = head;
  }

  static async open(store: StateStore, log: PinnedLog): Promise<Witness> {
    const head = await readRecord(store, TREE_HEAD, headSchema);
    return new Witness(store, log, head?.logId === log.logId ? head : undefined);
  }

  /** The newest verified head. */
  get head(): SignedTreeHead | undefined {
    return this.#head;
  }

  /** Rejects with PROOF_INVALID where `head` is not of the pinned log or contradicts what was seen; durable otherwise. */
  observe(head: SignedTreeHead, prove: ConsistencySource): Promise<void> {
    return this.observeAll([head], prove);
  }

  /** Likewise of several heads, with one proof for each at most, some of them at a time. */
  observeAll(heads: readonly SignedTreeHead[], prove: ConsistencySource): Promise<void> {
    const turn = this.#turn.then(() => this.#check(heads, prove));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** What is a prefix of the newest one is consistent with all others that are. */
  async #check(heads: readonly SignedTreeHead[], prove: ConsistencySource): Promise<void> {
    for (const head of heads) requireHead(this.#log, head);
    const known = this.#head;
    const others = known === undefined ? [...heads] : [known, ...heads];
    const newest = others.reduce((a, b) => (b.treeSize > a.treeSize ? b : a));
    const waiting = others.filter((head) => head !== newest);
    const next = async (): Promise<void> => {
      for (let head = waiting.pop(); head !== undefined; head = waiting.pop())
        await requireConsistent(head, newest, prove);
    };
    await Promise.all(Array.from({ length: LIMITS.proofsTogether }, next));
    if (newest !== known) await this.#keep(newest);
  }

  async #keep(head: SignedTreeHead): Promise<void> {
    const { logId, treeSize, time } = head;
    const fields = {
      logId,
      treeSize,
      time,
      rootHash: encodeBase64(head.rootHash),
      signature: encodeBase64(head.signature),
    };
    await this.#store.put({ [TREE_HEAD]: encodeRecord(fields) });
    this.#head = head;
  }
}

async function requireConsistent(
  older: SignedTreeHead,
  newer: SignedTreeHead,
  prove: ConsistencySource,
): Promise<void> {
  // Sizes 0 and equal ones need no path: the roots decide.
  const path =
    older.treeSize === 0 || older.treeSize === newer.treeSize
      ? []
      : await prove(older.treeSize, newer.treeSize);
  if (verifyConsistency(older.treeSize, newer.treeSize, older.rootHash, newer.rootHash, path)) return;
  throw new TributaryError(
    'PROOF_INVALID',
    `the log of ${String(newer.treeSize)} entries does not continue the one of ${String(older.treeSize)} entries that was seen before`,
    {
      hint: 'The coordinator shows another history: tell its operator, and do not rejoin before it is explained.',
      fields: { fork: true },
    },
  );
}
