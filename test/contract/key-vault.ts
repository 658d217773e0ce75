import assert from 'node:assert/strict';

import type { KeyVault } from '@tributary/coordinator/internal/ports.js';

import { patternBytes } from '../support/bytes.js';
import { using, type SuiteOptions } from './harness.js';

/** What every KeyVault does. */
export function keyVaultSuite({ name, factory }: SuiteOptions<KeyVault>): void {
  describe(`KeyVault: ${name}`, () => {
    it('gives back a secret, after reopening too', () =>
      using(factory, async (harness) => {
        const first = await harness.open();
        await first.put('round.job-1.2', patternBytes(32));
        const vault = await harness.open();
        assert.deepEqual(new Uint8Array((await vault.get('round.job-1.2')) ?? []), patternBytes(32));
        assert.equal(await vault.get('round.job-1.3'), undefined);
      }));

    it('replaces and deletes', () =>
      using(factory, async (harness) => {
        const vault = await harness.open();
        await vault.put('tree-head', patternBytes(32, 1));
        await vault.put('tree-head', patternBytes(32, 2));
        await vault.put('ca', patternBytes(32, 3));
        assert.deepEqual(await vault.list(), ['ca', 'tree-head']);
        await vault.delete('ca');
        assert.deepEqual(new Uint8Array((await vault.get('tree-head')) ?? []), patternBytes(32, 2));
        await vault.delete('tree-head');
        await vault.delete('tree-head');
        assert.equal(await vault.get('tree-head'), undefined);
        assert.deepEqual(await vault.list(), []);
      }));

    it('ends with the last of several writes that are under way', () =>
      using(factory, async (harness) => {
        const vault = await harness.open();
        await Promise.all([1, 2, 3, 4, 5].map((seed) => vault.put('ca', patternBytes(200, seed))));
        assert.deepEqual(new Uint8Array((await vault.get('ca')) ?? []), patternBytes(200, 5));
      }));

    it('keeps no hold on the bytes of its caller', () =>
      using(factory, async (harness) => {
        const vault = await harness.open();
        const secret = patternBytes(32);
        await vault.put('model', secret);
        secret.fill(0);
        const taken = await vault.get('model');
        taken?.fill(0);
        assert.deepEqual(new Uint8Array((await vault.get('model')) ?? []), patternBytes(32));
      }));
  });
}
