import { leafHash, MerkleFrontier, TributaryError } from '@tributary/proto';
import { causeCode } from '@tributary/proto/node';
import type { Level } from 'level';

import { entryKey, nodeKey, numberOf } from './ledger-keys.js';

/** Entries whose nodes are fetched in one go: two nodes each on average. */
const STRIDE = 256;

/**
 * Hashes the first `size` entries again and compares every complete node with the stored one. Throws STORE_CORRUPT that
 * names the first entry that is missing, altered, or under an altered node.
 */
export async function verifyLedger(database: Level<string, Uint8Array>, size: number): Promise<void> {
  const frontier = MerkleFrontier.empty();
  try {
    await verifyNodes(database, size, frontier);
  } catch (error) {
    // LevelDB itself gives up on a damaged block: the entries before it are known to be good.
    if (causeCode(error) === 'LEVEL_CORRUPTION')
      throw damaged(frontier.size, 'or a node above it cannot be read', error);
    throw error;
  }
}

async function verifyNodes(
  database: Level<string, Uint8Array>,
  size: number,
  frontier: MerkleFrontier,
): Promise<void> {
  let expected: Expected[] = [];
  for await (const [key, bytes] of database.iterator({ gte: entryKey(0), lt: entryKey(size) })) {
    const seq = frontier.size;
    if (numberOf(key) !== seq) throw damaged(seq, 'is missing');
    for (const { level, index, hash } of frontier.append(leafHash(bytes))) {
      expected.push({ key: nodeKey(level, index), hash, first: index * 2 ** level, leaf: level === 0 });
    }
    if (frontier.size % STRIDE === 0) {
      await compare(database, expected);
      expected = [];
    }
  }
  await compare(database, expected);
  if (frontier.size !== size) throw damaged(frontier.size, 'is missing');
}

interface Expected {
  readonly key: string;
  readonly hash: Uint8Array;
  /** Sequence of the first entry below the node. */
  readonly first: number;
  readonly leaf: boolean;
}

async function compare(database: Level<string, Uint8Array>, expected: readonly Expected[]): Promise<void> {
  const stored = await database.getMany(expected.map((node) => node.key));
  for (const [position, node] of expected.entries()) {
    const hash = stored[position];
    if (hash !== undefined && Buffer.compare(hash, node.hash) === 0) continue;
    throw damaged(
      node.first,
      node.leaf ? 'does not match its hash in the tree' : `is the first below ${node.key}, which was altered`,
    );
  }
}

function damaged(seq: number, how: string, cause?: unknown): TributaryError {
  return new TributaryError('STORE_CORRUPT', `ledger entry ${String(seq)} ${how}`, {
    fields: { seq },
    cause,
  });
}
