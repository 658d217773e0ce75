import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { MemoryKeyVault } from '@tributary/coordinator/internal/adapters/memory/key-vault.js';
import { systemClock } from '@tributary/coordinator/internal/adapters/system/system-clock.js';
import { systemRandom } from '@tributary/coordinator/internal/adapters/system/system-random.js';
import {
  createVaultSigner,
  openVaultSigner,
} from '@tributary/coordinator/internal/adapters/system/vault-signer.js';
import { verifySignature } from '@tributary/proto';
import nacl from 'tweetnacl';

describe('system clock', () => {
  it('acts at the time, not before, and once', async () => {
    const clock = systemClock();
    const at = clock.now() + 30;
    const times: number[] = [];
    clock.at(at, () => times.push(clock.now()));
    await sleep(80);
    assert.equal(times.length, 1);
    assert.ok((times[0] ?? 0) >= at);
  });

  it('acts at once where the time has passed', async () => {
    const clock = systemClock();
    const acted = await new Promise((resolve) => clock.at(clock.now() - 1_000, () => resolve(true)));
    assert.equal(acted, true);
  });

  it('waits for times beyond the longest timer of Node', async () => {
    const clock = systemClock();
    let acted = false;
    // setTimeout takes 2^31 - 1 ms and fires at once for more.
    const cancel = clock.at(clock.now() + 2 ** 31 + 10, () => (acted = true));
    await sleep(20);
    assert.equal(acted, false);
    cancel();
  });

  it('does not act after it was cancelled', async () => {
    const clock = systemClock();
    let acted = false;
    clock.at(clock.now() + 10, () => (acted = true))();
    await sleep(30);
    assert.equal(acted, false);
  });
});

describe('vault signer', () => {
  it('signs with the key that it made, after opening again too', async () => {
    const vault = new MemoryKeyVault();
    const made = await createVaultSigner(vault, 'tree-head', systemRandom());
    const opened = await openVaultSigner(vault, 'tree-head');
    assert.deepEqual(opened.publicKey, made.publicKey);
    const message = Buffer.from('a tree head');
    assert.ok(verifySignature(made.publicKey, message, opened.sign(message)));
    assert.ok(nacl.sign.detached.verify(message, opened.sign(message), made.publicKey));
  });

  it('never replaces a key, and makes none when opening', async () => {
    const vault = new MemoryKeyVault();
    await createVaultSigner(vault, 'model', systemRandom());
    await assert.rejects(createVaultSigner(vault, 'model', systemRandom()), { code: 'ALREADY_EXISTS' });
    await assert.rejects(openVaultSigner(vault, 'tree-head'), { code: 'STORE_CORRUPT' });
  });
});

describe('system randomness', () => {
  it('gives as many bytes as asked for, different ones each time', () => {
    const random = systemRandom();
    assert.equal(random.bytes(16).length, 16);
    assert.notDeepEqual(random.bytes(16), random.bytes(16));
  });
});
