import assert from 'node:assert/strict';

import { MemoryKeyVault } from '@tributary/coordinator/internal/adapters/memory/key-vault.js';
import { StageVault, type StageStatement } from '@tributary/coordinator/internal/app/stage-vault.js';
import { digestOf } from '@tributary/proto';

import { refusal } from '../../support/refusal.js';

const ref = (round: number, attempt = 0) => ({ jobId: `job-${'1'.repeat(32)}`, round, attempt });
const statement: StageStatement = {
  agentId: `agt-${'2'.repeat(32)}`,
  payload: new TextEncoder().encode('{"a":1}'),
  signature: new Uint8Array(64).fill(3),
  attachments: new Map([[`agt-${'4'.repeat(32)}`, Uint8Array.of(5, 6)]]),
};
const DIGEST = digestOf(statement.payload);

describe('vault of what members said', () => {
  let store: MemoryKeyVault;
  let vault: StageVault;

  beforeEach(async () => {
    store = new MemoryKeyVault();
    vault = new StageVault(store);
    await vault.put(ref(1), 'share', 'west', statement);
  });

  it('gives another process the statement as it was signed', async () => {
    const found = await new StageVault(store).get(ref(1), 'share', 'west', DIGEST);
    assert.equal(found.agentId, statement.agentId);
    assert.deepEqual(new Uint8Array(found.payload), statement.payload);
    assert.deepEqual(new Uint8Array(found.signature), statement.signature);
    const attached = [...found.attachments].map(([to, data]) => [to, [...data]]);
    assert.deepEqual(attached, [[`agt-${'4'.repeat(32)}`, [5, 6]]]);
  });

  it('gives nothing but what the ledger names', async () => {
    const other = digestOf(Uint8Array.of(1));
    for (const process of [vault, new StageVault(store)]) {
      await assert.rejects(process.get(ref(1), 'share', 'west', other), refusal('STORE_CORRUPT'));
      await assert.rejects(process.get(ref(1), 'share', 'east', DIGEST), refusal('STORE_CORRUPT', /east/));
      await assert.rejects(process.get(ref(1), 'agree', 'west', DIGEST), refusal('STORE_CORRUPT'));
      await assert.rejects(process.get(ref(1, 1), 'share', 'west', DIGEST), refusal('STORE_CORRUPT'));
    }
  });

  it('replaces what the ledger did not come to name', async () => {
    const second = { ...statement, payload: Uint8Array.of(9) };
    await vault.put(ref(1), 'share', 'west', second);
    assert.deepEqual(await vault.get(ref(1), 'share', 'west', digestOf(second.payload)), second);
    await assert.rejects(vault.get(ref(1), 'share', 'west', DIGEST), refusal('STORE_CORRUPT'));
  });

  it('refuses what a newer version wrote', async () => {
    const [name = ''] = await store.list();
    await store.put(name, new TextEncoder().encode('{"formatVersion":2}'));
    await assert.rejects(
      new StageVault(store).get(ref(1), 'share', 'west', DIGEST),
      refusal('FORMAT_UNSUPPORTED'),
    );
  });

  it('forgets a settled round and no other one, and nothing that is not its own', async () => {
    await store.put('round-key', Uint8Array.of(1));
    for (const kept of [ref(11), ref(1, 1)]) await vault.put(kept, 'share', 'west', statement);
    await vault.discard(ref(1));
    assert.equal((await store.list()).length, 3);
    await assert.rejects(vault.get(ref(1), 'share', 'west', DIGEST), refusal('STORE_CORRUPT'));
    await vault.retain(new Set([`${ref(11).jobId}.11.0`]));
    assert.equal((await store.list()).length, 2);
    assert.equal((await vault.get(ref(11), 'share', 'west', DIGEST)).agentId, statement.agentId);
    await vault.retain(new Set());
    assert.deepEqual(await store.list(), ['round-key']);
  });
});
