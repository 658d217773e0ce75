import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { LevelLedgerStore } from '@tributary/coordinator/internal/adapters/store/level-ledger-store.js';
import { Level } from 'level';

import { collectAll, patternBytes } from '../support/bytes.js';
import { cutTail, flipBit, flipBitIn } from '../support/damage.js';
import { refusal } from '../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

/** Entries that LevelDB's compression leaves as they are, so that they can be found on the disk. */
const entryOf = (seq: number): Uint8Array => patternBytes(500, seq + 1);

describe('damaged ledgers', function () {
  this.timeout(60_000);
  let directory: TemporaryDirectory;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(() => directory.remove());

  const fill = async (count: number): Promise<void> => {
    const store = await LevelLedgerStore.open(directory.path);
    for (let seq = 0; seq < count; seq += 1) await store.append(seq, [entryOf(seq)]);
    await store.close();
  };

  /** Moves everything from the write-ahead log into a table, where entries are not covered by a checksum on reading. */
  const compact = async (): Promise<void> => {
    // The types are those of every platform; Node's has this too.
    const level = new Level(directory.path) as Level & {
      compactRange(start: string, end: string): Promise<void>;
    };
    await level.compactRange('', '~');
    await level.close();
  };

  it('names an entry that was altered in a table, on reading and on a verifying open', async () => {
    await fill(40);
    await compact();
    await flipBitIn(directory.path, entryOf(17));
    const store = await LevelLedgerStore.open(directory.path);
    assert.equal((await collectAll(store.read(0, 17))).length, 17);
    await assert.rejects(collectAll(store.read(0, 40)), { code: 'STORE_CORRUPT', fields: { seq: 17 } });
    await store.close();
    await assert.rejects(LevelLedgerStore.open(directory.path, { verify: true }), {
      code: 'STORE_CORRUPT',
      fields: { seq: 17 },
    });
  });

  it('notices acknowledged entries that LevelDB lost with a damaged log', async () => {
    await fill(40);
    await flipBitIn(directory.path, entryOf(25));
    // LevelDB drops the damaged block of its log and opens; without a second record of the size nobody would know.
    await assert.rejects(LevelLedgerStore.open(directory.path), { code: 'STORE_CORRUPT' });
  });

  it('notices a log that was cut', async () => {
    await fill(40);
    await cutTail(
      join(directory.path, (await readdir(directory.path)).find((name) => name.endsWith('.log')) ?? ''),
      700,
    );
    await assert.rejects(LevelLedgerStore.open(directory.path), {
      code: 'STORE_CORRUPT',
      fields: { seq: 39 },
    });
  });

  it('names an altered node of the tree on a verifying open', async () => {
    await fill(40);
    const level = new Level<string, Uint8Array>(directory.path, { valueEncoding: 'view' });
    await level.put('n/02/0000000000000003', patternBytes(32));
    await level.close();
    await assert.rejects(LevelLedgerStore.open(directory.path, { verify: true }), {
      code: 'STORE_CORRUPT',
      fields: { seq: 12 },
    });
  });

  it('notices a history that was rewritten together with its tree', async () => {
    await fill(10);
    const other = await temporaryDirectory();
    const forged = await LevelLedgerStore.open(other.path);
    await forged.append(
      0,
      Array.from({ length: 10 }, (_, seq) => entryOf(seq === 4 ? 99 : seq)),
    );
    await forged.close();
    await writeFile(
      join(other.path, 'high-water-mark'),
      await readFile(join(directory.path, 'high-water-mark')),
    );
    await assert.rejects(LevelLedgerStore.open(other.path), { code: 'STORE_CORRUPT' });
    await other.remove();
  });

  it('lives with a damaged mark: one of its two slots is enough', async () => {
    await fill(9);
    await flipBit(join(directory.path, 'high-water-mark'), 14);
    const store = await LevelLedgerStore.open(directory.path, { verify: true });
    assert.equal(store.size(), 9);
    await store.close();
  });

  it('is refused without its mark, whatever else is missing', async () => {
    const mark = join(directory.path, 'high-water-mark');
    await fill(50);
    const log = join(
      directory.path,
      (await readdir(directory.path)).find((name) => name.endsWith('.log')) ?? '',
    );
    await cutTail(log, (await stat(log)).size >> 1);
    await rm(mark);
    const named = refusal('STORE_CORRUPT', /high-water mark of the ledger is missing/);
    await assert.rejects(LevelLedgerStore.open(directory.path), named);
    // Refused again: what refuses it makes no mark.
    await assert.rejects(LevelLedgerStore.open(directory.path), named);
    await writeFile(mark, Buffer.alloc(8_192));
    await assert.rejects(LevelLedgerStore.open(directory.path), named);
  });

  it('of a build that did not say that there is a mark is opened once without one, and marked', async () => {
    const mark = join(directory.path, 'high-water-mark');
    await fill(5);
    const level = new Level(directory.path);
    await level.put('m/format', JSON.stringify({ formatVersion: 1 }));
    await level.close();
    await rm(mark);
    await (await LevelLedgerStore.open(directory.path)).close();
    assert.ok((await stat(mark)).size > 4_096, 'both slots are written');
    await rm(mark);
    await assert.rejects(LevelLedgerStore.open(directory.path), { code: 'STORE_CORRUPT' });
  });

  it('of such a build, once marked, is refused without its mark and its newest end together', async () => {
    const mark = join(directory.path, 'high-water-mark');
    await fill(5);
    const level = new Level(directory.path);
    await level.put('m/format', JSON.stringify({ formatVersion: 1 }));
    await level.close();
    await rm(mark);
    const store = await LevelLedgerStore.open(directory.path);
    for (let seq = 5; seq < 9; seq += 1) await store.append(seq, [entryOf(seq)]);
    await store.close();
    for (const name of await readdir(directory.path))
      if (name.endsWith('.log'))
        await cutTail(join(directory.path, name), (await stat(join(directory.path, name))).size);
    await rm(mark);
    await assert.rejects(LevelLedgerStore.open(directory.path), { code: 'STORE_CORRUPT' });
  });

  it('names cosignatures that are gone, with those that are left, until the site has signed again', async () => {
    await fill(3);
    const signed = new Map(['east', 'north', 'west'].map((site, at) => [site, patternBytes(300, at + 1)]));
    const store = await LevelLedgerStore.open(directory.path);
    await store.putCosignatures(signed);
    await store.close();
    const level = new Level(directory.path);
    await level.del('w/north');
    await level.close();
    const again = await LevelLedgerStore.open(directory.path);
    const left: Uint8Array[] = [];
    const reading = async (): Promise<void> => {
      for await (const record of again.cosignatures()) left.push(record);
    };
    await assert.rejects(reading(), refusal('STORE_CORRUPT', /cosignatures of sites are missing/));
    assert.deepEqual(left, [signed.get('east'), signed.get('west')]);
    await again.putCosignatures(new Map([['north', patternBytes(300, 9)]]));
    await again.close();
    const healed = await LevelLedgerStore.open(directory.path);
    assert.equal((await collectAll(healed.cosignatures())).length, 3);
    await healed.close();
  });

  it('names cosignatures that LevelDB lost with a damaged log', async () => {
    await fill(3);
    const store = await LevelLedgerStore.open(directory.path);
    await store.putCosignatures(new Map([['east', patternBytes(300, 60)]]));
    await store.putCosignatures(new Map([['east', patternBytes(300, 61)]]));
    await store.close();
    await flipBitIn(directory.path, patternBytes(300, 61));
    const again = await LevelLedgerStore.open(directory.path);
    await assert.rejects(collectAll(again.cosignatures()), { code: 'STORE_CORRUPT' });
    await again.close();
  });

  it('names a missing entry', async () => {
    await fill(10);
    const level = new Level(directory.path);
    await level.del('e/0000000000000004');
    await level.close();
    const store = await LevelLedgerStore.open(directory.path);
    await assert.rejects(collectAll(store.read(0, 10)), { code: 'STORE_CORRUPT', fields: { seq: 4 } });
    await store.close();
    await assert.rejects(LevelLedgerStore.open(directory.path, { verify: true }), {
      code: 'STORE_CORRUPT',
      fields: { seq: 4 },
    });
  });

  it('names an altered snapshot', async () => {
    await fill(5);
    const store = await LevelLedgerStore.open(directory.path);
    await store.putSnapshot(5, patternBytes(300, 50));
    await store.close();
    const level = new Level<string, Uint8Array>(directory.path, { valueEncoding: 'view' });
    const record = await level.get('s/0000000000000005');
    assert.ok(record);
    record[200] = (record[200] ?? 0) ^ 1;
    await level.put('s/0000000000000005', record);
    await level.close();
    const again = await LevelLedgerStore.open(directory.path);
    await assert.rejects(again.latestSnapshot(), refusal('STORE_CORRUPT', /snapshot .* of 5 entries/));
    await again.close();
  });

  it('names a snapshot whose name was altered', async () => {
    await fill(5);
    const store = await LevelLedgerStore.open(directory.path);
    await store.putSnapshot(5, patternBytes(300, 50));
    await store.close();
    const level = new Level<string, Uint8Array>(directory.path, { valueEncoding: 'view' });
    await level.put('s/00000000000000x5', (await level.get('s/0000000000000005')) ?? new Uint8Array());
    await level.del('s/0000000000000005');
    await level.close();
    const again = await LevelLedgerStore.open(directory.path);
    await assert.rejects(again.latestSnapshot(), refusal('STORE_CORRUPT', /of 5 entries, is missing/));
    await again.close();
  });

  it('names a snapshot that LevelDB lost with a damaged log, until there is another one', async () => {
    await fill(5);
    const store = await LevelLedgerStore.open(directory.path);
    await store.putSnapshot(5, patternBytes(300, 50));
    await store.close();
    await flipBitIn(directory.path, patternBytes(300, 50));
    const again = await LevelLedgerStore.open(directory.path);
    assert.equal(again.size(), 5);
    await assert.rejects(again.latestSnapshot(), refusal('STORE_CORRUPT', /of 5 entries, is missing/));
    await again.putSnapshot(4, patternBytes(200, 7));
    await again.close();
    const healed = await LevelLedgerStore.open(directory.path);
    assert.equal((await healed.latestSnapshot())?.size, 4);
    await healed.close();
  });

  it('refuses a newer format', async () => {
    await fill(1);
    const level = new Level(directory.path);
    await level.put('m/format', JSON.stringify({ formatVersion: 2 }));
    await level.close();
    await assert.rejects(LevelLedgerStore.open(directory.path), { code: 'FORMAT_UNSUPPORTED' });
  });
});
