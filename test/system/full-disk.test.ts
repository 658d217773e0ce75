import assert from 'node:assert/strict';
import { join } from 'node:path';

import { dataPaths } from '@tributary/coordinator/internal/adapters/data-directory.js';
import { openStores, type Stores } from '@tributary/coordinator/internal/adapters/stores.js';
import { LevelStateStore } from '@tributary/edge-agent/internal/adapters/store/level-state-store.js';
import { LIMITS } from '@tributary/proto';

import { spoolHeader } from '../contract/spool-store.js';
import { collect, collectAll, patternBytes } from '../support/bytes.js';
import { SmallDisk } from '../support/small-disk.js';

const KEY = patternBytes(32, 5);
const MIB = 1024 * 1024;

describe('stores on a full disk (needs the right to mount a tmpfs)', function () {
  this.timeout(120_000);
  let disk: SmallDisk | undefined;
  let stores: Stores;

  beforeEach(async function () {
    disk = SmallDisk.mount();
    if (disk === undefined) this.skip();
    stores = await openStores(dataPaths(disk.path), { sealingKey: KEY });
  });

  afterEach(async () => {
    if (disk === undefined) return;
    await stores.close();
    disk.unmount();
  });

  const fill = (left = 0): Promise<void> => disk?.fill(left) ?? assert.fail();
  const clear = (): Promise<void> => disk?.clear() ?? assert.fail();
  const entryOf = (seq: number): Uint8Array => patternBytes(5_000, seq + 1);

  it('the ledger says STORE_FULL, keeps what it had, and goes on when there is space', async () => {
    const { ledger } = stores;
    for (let seq = 0; seq < 50; seq += 1) await ledger.append(seq, [entryOf(seq)]);
    const root = await ledger.rootHash(50);
    await fill(20_000);
    let refused: unknown;
    for (let attempt = 0; attempt < 100 && refused === undefined; attempt += 1) {
      const size = ledger.size();
      refused = await ledger
        .append(
          size,
          Array.from({ length: 3 }, (_, at) => entryOf(size + at)),
        )
        .then(
          () => undefined,
          (error: unknown) => error,
        );
    }
    assert.equal((refused as { code?: string }).code, 'STORE_FULL');
    const size = ledger.size();
    await assert.rejects(ledger.append(size, [entryOf(size)]), { code: 'STORE_FULL' });
    // What is there is read meanwhile.
    assert.equal((await collectAll(ledger.read(0, size))).length, size);
    await clear();
    // Another entry than the refused one: nothing of that may come back.
    await ledger.append(size, [patternBytes(4_000, 9_999)]);
    assert.deepEqual(await ledger.rootHash(50), root);
    const entries = await collectAll(ledger.read(0, ledger.size()));
    assert.equal(entries.length, size + 1);
    for (const { seq, bytes } of entries.slice(0, -1)) assert.deepEqual(bytes, entryOf(seq));
    assert.deepEqual(entries.at(-1)?.bytes, patternBytes(4_000, 9_999));
    await stores.close();
    stores = await openStores(dataPaths(disk?.path ?? ''), { sealingKey: KEY, verify: true });
    assert.equal(stores.ledger.size(), size + 1);
  });

  it('a snapshot or cosignature that did not fit costs no entry that comes after it', async () => {
    const { ledger } = stores;
    for (let seq = 0; seq < 20; seq += 1) await ledger.append(seq, [entryOf(seq)]);
    await fill(20_000);
    await assert.rejects(ledger.putSnapshot(20, patternBytes(200_000)), { code: 'STORE_FULL' });
    await clear();
    for (let seq = 20; seq < 40; seq += 1) await ledger.append(seq, [entryOf(seq)]);
    await fill(20_000);
    await assert.rejects(ledger.putCosignatures(new Map([['north', patternBytes(200_000)]])), {
      code: 'STORE_FULL',
    });
    await clear();
    for (let seq = 40; seq < 60; seq += 1) await ledger.append(seq, [entryOf(seq)]);
    await stores.close();
    stores = await openStores(dataPaths(disk?.path ?? ''), { sealingKey: KEY, verify: true });
    const entries = await collectAll(stores.ledger.read(0, stores.ledger.size()));
    assert.deepEqual(
      entries.map(({ bytes }) => bytes),
      Array.from({ length: 60 }, (_, seq) => entryOf(seq)),
    );
  });

  it('blobs, keys and checkpoints say STORE_FULL, leave nothing behind and keep what was there', async () => {
    const { blobs, vault, checkpoints } = stores;
    const { digest } = await blobs.put([patternBytes(100_000)]);
    await vault.put('round', patternBytes(32, 1));
    await checkpoints.put('round', [patternBytes(200_000, 1)]);
    await fill(300_000);
    await assert.rejects(blobs.put([patternBytes(2 * MIB)]), { code: 'STORE_FULL' });
    await assert.rejects(checkpoints.put('round', [patternBytes(2 * MIB)]), { code: 'STORE_FULL' });
    // What the refused writes had taken is free again.
    await blobs.put([patternBytes(50_000, 2)]);
    await fill();
    await assert.rejects(vault.put('round', patternBytes(100_000, 2)), { code: 'STORE_FULL' });
    assert.deepEqual(await collect(blobs.read(digest)), patternBytes(100_000));
    assert.deepEqual(await vault.get('round'), patternBytes(32, 1));
    assert.deepEqual(await collect(checkpoints.get('round') ?? assert.fail()), patternBytes(200_000, 1));
    await clear();
    await vault.put('round', patternBytes(32, 2));
    assert.deepEqual(await vault.get('round'), patternBytes(32, 2));
  });

  it('a spool says STORE_FULL and goes on at the same chunk when there is space', async () => {
    const spool = await stores.spools.create(spoolHeader(1), LIMITS.minChunkBytes);
    const chunkOf = (index: number): Uint8Array => patternBytes(LIMITS.minChunkBytes + 16, index + 1);
    await fill(5 * LIMITS.minChunkBytes);
    let index = 0;
    let refused: unknown;
    while (refused === undefined && index < 100) {
      refused = await spool.append(chunkOf(index)).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (refused === undefined) index += 1;
    }
    assert.equal((refused as { code?: string }).code, 'STORE_FULL');
    assert.equal(spool.chunkCount(), index);
    await clear();
    for (; index < 12; index += 1) await spool.append(chunkOf(index));
    await spool.sync();
    let seen = 0;
    for await (const chunk of spool.chunks()) assert.equal(Buffer.compare(chunk, chunkOf(seen++)), 0);
    assert.equal(seen, 12);
    await spool.close();
  });

  it('the state of a site says STORE_FULL, and keeps all that was acknowledged before and after', async () => {
    const directory = join(disk?.path ?? '', 'state');
    let state = await LevelStateStore.open(directory, KEY);
    const held = new Map<string, Uint8Array>();
    const keep = async (key: string): Promise<void> => {
      const value = patternBytes(3_000, held.size + 1);
      await state.put({ [key]: value });
      held.set(key, value);
    };
    for (let turn = 0; turn < 3; turn += 1) {
      for (let index = 0; index < 20; index += 1) await keep(`${String(turn)}-${String(index)}`);
      await fill(20_000);
      await assert.rejects(state.put({ large: patternBytes(200_000) }), { code: 'STORE_FULL' });
      await assert.rejects(state.put({ small: patternBytes(40_000) }), { code: 'STORE_FULL' });
      for (const [key, value] of held) assert.deepEqual(await state.get(key), value);
      await clear();
    }
    await keep('last');
    await state.close();
    state = await LevelStateStore.open(directory, KEY);
    for (const [key, value] of held) assert.deepEqual(await state.get(key), value, key);
    for (const key of ['large', 'small']) assert.equal(await state.get(key), undefined, key);
    await state.close();
  });

  it('the state of a site cannot be opened without space, and says why', async () => {
    const directory = join(disk?.path ?? '', 'state');
    const state = await LevelStateStore.open(directory, KEY);
    await state.put({ a: patternBytes(10) });
    await state.close();
    await fill();
    await assert.rejects(LevelStateStore.open(directory, KEY), { code: 'STORE_FULL' });
    await clear();
    const again = await LevelStateStore.open(directory, KEY);
    assert.deepEqual(await again.get('a'), patternBytes(10));
    await again.close();
  });
});
