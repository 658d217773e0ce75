import assert from 'node:assert/strict';

import type { StateStore } from '@tributary/edge-agent/internal/ports.js';

import { using, type SuiteOptions } from './harness.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function keysOf(store: StateStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** What every StateStore of the agent promises. */
export function stateStoreSuite({ name, factory }: SuiteOptions<StateStore>): void {
  describe(`StateStore: ${name}`, () => {
    it('gives back what was put, after reopening too, and undefined for the rest', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.put({ a: bytes('1'), b: new Uint8Array(0) });
        await store.close();
        const again = await harness.open();
        assert.deepEqual(await again.get('a'), bytes('1'));
        assert.deepEqual(await again.get('b'), new Uint8Array(0));
        assert.equal(await again.get('c'), undefined);
        await again.close();
      }));

    it('puts and deletes in one change', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.put({ a: bytes('1'), b: bytes('2') });
        await store.put({ a: undefined, b: bytes('3'), c: bytes('4') });
        assert.deepEqual(await keysOf(store, ''), ['b', 'c']);
        assert.deepEqual(await store.get('b'), bytes('3'));
        await store.close();
      }));

    it('lists a prefix in order, with values', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.put({ 'p/2': bytes('b'), 'p/1': bytes('a'), q: bytes('c'), p: bytes('d') });
        assert.deepEqual(await keysOf(store, 'p/'), ['p/1', 'p/2']);
        for await (const { key, value } of store.list('p/'))
          assert.deepEqual(value, bytes(key === 'p/1' ? 'a' : 'b'));
        await store.close();
      }));

    it('keeps no hold on the bytes of its caller', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const value = bytes('x');
        await store.put({ a: value });
        value.fill(0);
        assert.deepEqual(await store.get('a'), bytes('x'));
        await store.close();
      }));
  });
}
