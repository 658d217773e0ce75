import assert from 'node:assert/strict';

import {
  decodeBase64,
  decodeEntry,
  encodeEntry,
  leafHash,
  LIMITS,
  logIdOf,
  MerkleFrontier,
  verifyConsistency,
  verifyTreeHead,
  type EntryType,
  type LedgerEntry,
  type SignedTreeHead,
} from '@tributary/proto';
import { Ledger, type LedgerClient } from '@tributary/proto/grpc';

import { call, callAll, ledgerClient, type Reachable } from './channels.js';

/** A ledger that was found to be in order, from its first to its last entry. */
export interface Audit {
  readonly entries: readonly LedgerEntry[];
  readonly treeHead: SignedTreeHead;
}

/**
 * Reads the whole ledger as an operator and verifies it without trusting the coordinator: every entry is canonical and in
 * its place, the tree over them has the signed root, the signing key is the one of the first entry, and the ledger of
 * `earlier` is where this one begins.
 */
export async function auditLedger(federation: Reachable, earlier?: Audit): Promise<Audit> {
  const client = await ledgerClient(federation);
  try {
    const treeHead = await readTreeHead(client);
    const entries: LedgerEntry[] = [];
    const frontier = MerkleFrontier.empty();
    while (entries.length < treeHead.treeSize) {
      const limit = Math.min(LIMITS.entriesPerCall, treeHead.treeSize - entries.length);
      const records = await callAll(client, Ledger.service, 'GetEntries', {
        start: String(entries.length),
        limit,
      });
      assert.ok(
        records.length > 0,
        `the ledger ends at ${String(entries.length)} of ${String(treeHead.treeSize)} entries`,
      );
      for (const record of records) {
        const entry = decodeEntry(record.entry);
        assert.equal(entry.seq, entries.length);
        assert.equal(Number(record.seq), entry.seq);
        assert.equal(
          Buffer.compare(encodeEntry(entry), record.entry),
          0,
          `entry ${String(entry.seq)} is not canonical`,
        );
        frontier.append(leafHash(record.entry));
        entries.push(entry);
      }
    }
    assert.deepEqual(Buffer.from(frontier.root()), Buffer.from(treeHead.rootHash));
    const [founded] = entriesOf(entries, 'federation.created');
    const logKey = decodeBase64(founded?.body.logKey ?? '', 'logKey', 32);
    verifyTreeHead(logKey, treeHead);
    assert.equal(treeHead.logId, logIdOf(logKey));
    if (earlier !== undefined) await requirePrefix(client, earlier, { entries, treeHead });
    return { entries, treeHead };
  } finally {
    client.close();
  }
}

/** The entries of one type, in order. */
export function entriesOf<T extends EntryType>(
  entries: readonly LedgerEntry[],
  type: T,
): Extract<LedgerEntry, { readonly type: T }>[] {
  return entries.filter((entry): entry is Extract<LedgerEntry, { readonly type: T }> => entry.type === type);
}

async function readTreeHead(client: LedgerClient): Promise<SignedTreeHead> {
  const { logId, treeSize, rootHash, time, signature } = await call(
    client,
    Ledger.service,
    'GetTreeHead',
    {},
  );
  return { logId, treeSize: Number(treeSize), rootHash, time, signature };
}

async function requirePrefix(client: LedgerClient, earlier: Audit, now: Audit): Promise<void> {
  assert.deepEqual(now.entries.slice(0, earlier.entries.length), earlier.entries);
  const [first, second] = [earlier.treeHead, now.treeHead];
  const { path } = await call(client, Ledger.service, 'GetConsistencyProof', {
    first: String(first.treeSize),
    second: String(second.treeSize),
  });
  assert.ok(
    verifyConsistency(first.treeSize, second.treeSize, first.rootHash, second.rootHash, path),
    'the tree was rewritten',
  );
}
