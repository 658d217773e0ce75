import { join } from 'node:path';

import {
  consistencyProof,
  inclusionProof,
  leafHash,
  LIMITS,
  merkleRoot,
  MerkleFrontier,
  TributaryError,
  type MerkleNode,
} from '@tributary/proto';
import { hasRoom, makeDirectory, syncDirectory } from '@tributary/proto/node';
import { Level } from 'level';

import type { LedgerStore } from '../../ports.js';
import { encodeCount, readCount, requireAll, type CosignatureCount } from './cosignature-count.js';
import { HighWaterMark, unmarked, type Counted } from './high-water-mark.js';
import { isMarkedLedger, sayMarked } from './ledger-format.js';
import {
  COSIGNED_KEY,
  cosignatureKey,
  entryKey,
  kindRange,
  nodeKey,
  numberOf,
  snapshotKey,
} from './ledger-keys.js';
import { verifyLedger } from './ledger-verification.js';
import { levelError } from './level-error.js';
import { decodeSnapshot, encodeSnapshot } from './snapshot-record.js';

type LedgerDatabase = Level<string, Uint8Array>;

const WHAT = 'ledger';
const SYNCED = { sync: true } as const;

export interface LedgerStoreOptions {
  /** Hash everything again while opening: finds any altered byte, at about a second per 100,000 entries. */
  readonly verify?: boolean;
}

/**
 * The ledger in LevelDB: entries and the hashes of all complete subtrees, written together in one synced batch. Entries
 * are checked against their leaf hash whenever they are read. One process at a time (STORE_LOCKED).
 */
export class LevelLedgerStore implements LedgerStore {
  readonly #directory: string;
  #database: LedgerDatabase;
  #mark: HighWaterMark;
  #frontier: MerkleFrontier;
  /** Entries of the newest snapshot that was acknowledged. */
  #snapshotSize: number;
  #cosigned: CosignatureCount;
  /** Of the changes that were acknowledged. */
  #cosignedMark: number;
  /**
   * Set where a write failed: LevelDB may or may not hold the batch, and on opening drops what was written behind a torn
   * record of its log. It is opened again before anything else is written, once there is room for that.
   */
  #failure: TributaryError | undefined;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(directory: string, opened: Opened) {
    this.#directory = directory;
    this.#database = opened.database;
    this.#mark = opened.mark;
    this.#frontier = opened.frontier;
    this.#snapshotSize = opened.counts.snapshot;
    this.#cosigned = opened.cosigned;
    this.#cosignedMark = opened.counts.cosignatures;
  }

  /**
   * Opens the ledger of `directory`, or creates it. Rejects with STORE_LOCKED, FORMAT_UNSUPPORTED, STORE_FULL, or
   * STORE_CORRUPT: where acknowledged entries, or their mark, are missing, and with `verify` wherever a byte was altered, naming the
   * first bad sequence.
   */
  static async open(directory: string, options: LedgerStoreOptions = {}): Promise<LevelLedgerStore> {
    return new LevelLedgerStore(directory, await openLedger(directory, options.verify ?? false));
  }

  size(): number {
    return this.#frontier.size;
  }

  /**
   * Hashes everything again that is there when it is called, while the ledger is used. Rejects with STORE_CORRUPT wherever a
   * byte was altered, naming the first bad sequence; with UNAVAILABLE where the ledger is closed meanwhile.
   */
  async verify(): Promise<void> {
    await verifyLedger(this.#database, this.size()).catch((error: unknown) => {
      throw levelError(error, WHAT);
    });
  }

  append(expectedSize: number, entries: readonly Uint8Array[]): Promise<void> {
    return this.#inTurn(() => this.#append(expectedSize, entries));
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const result = this.#last.then(async () => {
      if (this.#failure !== undefined) await this.#reopen(this.#failure);
      await work();
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #write(batch: readonly Change[]): Promise<void> {
    try {
      await this.#database.batch([...batch], SYNCED);
    } catch (error) {
      this.#failure = levelError(error, WHAT);
      throw this.#failure;
    }
  }

  async #append(expectedSize: number, entries: readonly Uint8Array[]): Promise<void> {
    const size = this.#frontier.size;
    if (expectedSize !== size) {
      throw new TributaryError(
        'CONFLICT',
        `the ledger has ${String(size)} entries, not ${String(expectedSize)}`,
      );
    }
    if (entries.length === 0) return;
    const frontier = this.#frontier.clone();
    const batch = entries.flatMap((bytes, index) => [
      put(entryKey(size + index), bytes),
      ...frontier.append(leafHash(bytes)).map((node) => put(nodeKey(node.level, node.index), node.hash)),
    ]);
    await this.#write(batch);
    this.#frontier = frontier;
    // One that could not be written is harmless: it may be behind.
    await this.#mark.write({ size: frontier.size, rootHash: frontier.root() }).catch(() => undefined);
  }

  /** Opens the database again after a failed write, and takes back what nobody was told was there. */
  async #reopen(failure: TributaryError): Promise<void> {
    if (!(await hasRoom(this.#directory, LIMITS.reopenBytes))) throw failure;
    const size = this.#frontier.size;
    try {
      await this.#database.close();
      await this.#mark.close().catch(() => undefined);
      const { database, mark, frontier } = await openLedger(this.#directory, false);
      this.#database = database;
      this.#mark = mark;
      if (frontier.size > size) await database.batch(removals(this.#frontier, frontier.size), SYNCED);
      this.#failure = undefined;
    } catch (error) {
      throw levelError(error, WHAT);
    }
  }

  async *read(
    start: number,
    end: number,
  ): AsyncIterable<{ readonly seq: number; readonly bytes: Uint8Array }> {
    const last = Math.min(end, this.size());
    if (start >= last) return;
    const leaves = this.#database.values({ gte: nodeKey(0, start), lt: nodeKey(0, last) });
    const entries = this.#database.iterator({ gte: entryKey(start), lt: entryKey(last) });
    try {
      for (let seq = start; seq < last; seq += 1) {
        const [entry, leaf] = await Promise.all([entries.next(), leaves.next()]);
        if (entry === undefined || numberOf(entry[0]) !== seq || leaf === undefined)
          throw damaged(seq, 'is missing');
        if (!equal(leafHash(entry[1]), leaf)) throw damaged(seq, 'does not match its hash in the tree');
        yield { seq, bytes: plain(entry[1]) };
      }
    } catch (error) {
      throw levelError(error, WHAT);
    } finally {
      await Promise.all([entries.close(), leaves.close()]);
    }
  }

  async rootHash(size: number): Promise<Uint8Array> {
    this.#requireWithin(size, 'size');
    return size === this.size() ? this.#frontier.root() : merkleRoot(size, this.#node);
  }

  async inclusionProof(seq: number, size: number): Promise<readonly Uint8Array[]> {
    this.#requireWithin(size, 'size');
    requireRange(seq, size - 1, 'seq');
    return inclusionProof(seq, size, this.#node);
  }

  async consistencyProof(first: number, second: number): Promise<readonly Uint8Array[]> {
    this.#requireWithin(second, 'second');
    requireRange(first, second, 'first');
    return consistencyProof(first, second, this.#node);
  }

  async putSnapshot(size: number, snapshot: Uint8Array): Promise<void> {
    const record = encodeSnapshot(await this.rootHash(size), snapshot);
    await this.#inTurn(async () => {
      const keys = await this.#database.keys(kindRange('s')).all();
      const others = keys.filter((key) => key !== snapshotKey(size));
      await this.#write([put(snapshotKey(size), record), ...others.map(remove)]);
      this.#snapshotSize = size;
      await this.#mark.writeCount('snapshot', size).catch(() => undefined);
    });
  }

  async latestSnapshot(): Promise<{ readonly size: number; readonly snapshot: Uint8Array } | undefined> {
    try {
      for await (const [key, record] of this.#database.iterator({ ...kindRange('s'), reverse: true })) {
        const size = numberOf(key);
        // The name is damaged too where it is no number, or another one.
        if (!(size <= this.size())) continue;
        const snapshot = decodeSnapshot(record, await this.rootHash(size));
        if (snapshot === undefined) throw damagedSnapshot(size, 'does not match its checksum');
        if (size < this.#snapshotSize) break;
        return { size, snapshot };
      }
    } catch (error) {
      throw levelError(error, 'snapshot of the ledger');
    }
    if (this.#snapshotSize > 0) throw damagedSnapshot(this.#snapshotSize, 'is missing');
    return undefined;
  }

  putCosignatures(records: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const batch = [...records].map(([site, record]) => put(cosignatureKey(site), record));
    return this.#inTurn(async () => {
      // Where they cannot be read it is not known which are new: the count is that of those there are at least.
      const held = await this.#database.getMany(batch.map(({ key }) => key)).catch(() => undefined);
      const added = held?.filter((record) => record === undefined).length ?? 0;
      const changes = Math.max(this.#cosigned.changes, this.#cosignedMark) + 1;
      const count = { changes, sites: this.#cosigned.sites + added };
      await this.#write([...batch, put(COSIGNED_KEY, encodeCount(count))]);
      this.#cosigned = count;
      this.#cosignedMark = changes;
      await this.#mark.writeCount('cosignatures', changes).catch(() => undefined);
    });
  }

  async *cosignatures(): AsyncIterable<Uint8Array> {
    let found = 0;
    try {
      for await (const record of this.#database.values(kindRange('w'))) {
        yield plain(record);
        found += 1;
      }
      const counted = this.#cosigned;
      this.#cosigned = { ...counted, sites: Math.min(counted.sites, found) };
      requireAll(found, counted, this.#cosignedMark);
    } catch (error) {
      throw levelError(error, 'cosignatures of sites');
    }
  }

  async close(): Promise<void> {
    await this.#last;
    await Promise.all([this.#database.close(), this.#mark.close()]);
  }

  readonly #node = (level: number, index: number): Promise<Uint8Array> =>
    readNode(this.#database, level, index);

  #requireWithin(size: number, field: string): void {
    requireRange(size, this.size(), field);
  }
}

interface Opened {
  readonly database: LedgerDatabase;
  readonly mark: HighWaterMark;
  readonly frontier: MerkleFrontier;
  readonly counts: Readonly<Record<Counted, number>>;
  readonly cosigned: CosignatureCount;
}

async function openLedger(directory: string, verify: boolean): Promise<Opened> {
  await makeDirectory(directory);
  const database: LedgerDatabase = new Level(directory, { keyEncoding: 'utf8', valueEncoding: 'view' });
  let mark: HighWaterMark | undefined;
  try {
    await database.open();
    const isMarked = await isMarkedLedger(database);
    const marked = await HighWaterMark.open(join(directory, 'high-water-mark'));
    mark = marked.file;
    const [last] = await database.keys({ ...kindRange('e'), reverse: true, limit: 1 }).all();
    const size = last === undefined ? 0 : numberOf(last) + 1;
    if (verify) await verifyLedger(database, size);
    const frontier = await MerkleFrontier.load(size, (level, index) => readNode(database, level, index));
    const held = marked.mark;
    if (held === undefined && isMarked) throw unmarked();
    if (held !== undefined && held.size > size)
      throw damaged(size, `and all up to ${String(held.size - 1)} are missing`);
    if (held !== undefined) await requireRoot(database, held.size, held.rootHash);
    if (!isMarked) {
      await mark.begin({ size, rootHash: frontier.root() });
      await syncDirectory(directory);
      await sayMarked(database);
    }
    return { database, mark, frontier, counts: marked.counts, cosigned: await readCount(database) };
  } catch (error) {
    await mark?.close().catch(() => undefined);
    await database.close().catch(() => undefined);
    throw levelError(error, WHAT);
  }
}

/** The tree as it was when it was last marked must still be there; where it is not, names the first bad entry. */
async function requireRoot(database: LedgerDatabase, size: number, expected: Uint8Array): Promise<void> {
  const root = await merkleRoot(size, (level, index) => readNode(database, level, index));
  if (equal(root, expected)) return;
  await verifyLedger(database, size);
  throw new TributaryError(
    'STORE_CORRUPT',
    `the first ${String(size)} entries of the ledger are not those that were acknowledged`,
  );
}

async function readNode(database: LedgerDatabase, level: number, index: number): Promise<Uint8Array> {
  const hash = await database.get(nodeKey(level, index)).catch((error: unknown) => {
    throw levelError(error, WHAT);
  });
  if (hash?.length === 32) return plain(hash);
  throw damaged(index * 2 ** level, `is under node ${String(level)}/${String(index)}, which is missing`);
}

/** Deletes everything that appending from `frontier` up to `size` wrote. */
function removals(frontier: MerkleFrontier, size: number): Change[] {
  const grown = frontier.clone();
  const keys: string[] = [];
  for (let seq = frontier.size; seq < size; seq += 1) {
    const nodes: readonly MerkleNode[] = grown.append(leafHash(new Uint8Array()));
    keys.push(entryKey(seq), ...nodes.map((node) => nodeKey(node.level, node.index)));
  }
  return keys.map(remove);
}

type Change =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string };

const remove = (key: string): Change => ({ type: 'del', key });

const put = (key: string, value: Uint8Array): Change => ({
  type: 'put',
  key,
  value,
});

/** LevelDB hands out Buffers, whose `slice` shares memory: not what readers of a Uint8Array expect. */
const plain = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

function requireRange(value: number, most: number, field: string): void {
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return;
  throw new TributaryError('INVALID_ARGUMENT', `${field}: ${String(value)} is outside the ledger`, {
    fields: { field },
  });
}

function damaged(seq: number, how: string): TributaryError {
  return new TributaryError('STORE_CORRUPT', `ledger entry ${String(seq)} ${how}`, { fields: { seq } });
}

const damagedSnapshot = (size: number, how: string): TributaryError =>
  new TributaryError('STORE_CORRUPT', `the snapshot of the ledger, of ${String(size)} entries, ${how}`, {
    hint: 'it is not used: the state is made of the entries again, and the next snapshot takes its place',
    fields: { size },
  });
