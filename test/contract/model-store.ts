import assert from 'node:assert/strict';

import type { ModelStore } from '@tributary/edge-agent/internal/serving-ports.js';

import { refusal } from '../support/refusal.js';
import { newModel, registeredModel } from '../support/served-model.js';
import { using, type SuiteOptions } from './harness.js';

/** What every ModelStore promises. */
export function modelStoreSuite({ name, factory }: SuiteOptions<ModelStore>): void {
  describe(`ModelStore: ${name}`, () => {
    it('gives back a version as it was put, after reopening too', () =>
      using(factory, async (harness) => {
        const model = registeredModel({ version: 3 });
        const ref = await (await harness.open()).put(newModel(model));
        assert.deepEqual(ref, { name: 'trial', version: 3 });
        const found = await (await harness.open()).open(ref);
        assert.deepEqual(found.manifest, model.manifest);
        assert.deepEqual(Buffer.from(found.manifestBytes), Buffer.from(model.manifestBytes));
        assert.deepEqual(Buffer.from(found.signature), Buffer.from(model.signature));
        assert.deepEqual(found.weights, model.weights);
      }));

    it('takes the same again, and no other manifest of the same version', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.put(newModel(registeredModel()));
        await store.put(newModel(registeredModel()));
        await assert.rejects(store.put(newModel(registeredModel({ seed: 9 }))), refusal('ALREADY_EXISTS'));
        assert.equal((await store.list()).length, 1);
      }));

    it('leaves nothing of weights that are others, too few or too many', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const { manifestBytes, signature, weights } = newModel(registeredModel());
        const bytes = Buffer.concat([...(weights as Iterable<Uint8Array>)]);
        const altered = Buffer.from(bytes);
        altered.writeUInt8((altered.at(2) ?? 0) ^ 1, 2);
        for (const wrong of [altered, bytes.subarray(4), Buffer.concat([bytes, bytes])])
          await assert.rejects(
            store.put({ manifestBytes, signature, weights: [wrong] }),
            refusal('STORE_CORRUPT'),
          );
        assert.deepEqual(await store.list(), []);
        await assert.rejects(store.open({ name: 'trial', version: 1 }), refusal('NOT_FOUND'));
      }));

    it('lists by name and version', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const refs = [
          { name: 'b', version: 10 },
          { name: 'b', version: 9 },
          { name: 'a', version: 1 },
        ];
        for (const ref of refs) await store.put(newModel(registeredModel(ref)));
        assert.deepEqual(await store.list(), [...refs].reverse());
      }));

    it('keeps pointers to versions that it has, and versions that a pointer names', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        assert.deepEqual(await store.pointers('trial'), {});
        const one = await store.put(newModel(registeredModel({ version: 1 })));
        const two = await store.put(newModel(registeredModel({ version: 2 })));
        await store.point('trial', { current: 2, lastGood: 1 });
        const again = await harness.open();
        assert.deepEqual(await again.pointers('trial'), { current: 2, lastGood: 1 });
        await assert.rejects(again.point('trial', { current: 3 }), refusal('NOT_FOUND', /trial@3/));
        await assert.rejects(again.remove(one), refusal('CONFLICT'));
        await assert.rejects(again.remove(two), refusal('CONFLICT'));
        await again.point('trial', { current: 2 });
        await again.remove(one);
        await again.remove(one);
        await assert.rejects(again.open(one), refusal('NOT_FOUND'));
        assert.deepEqual(await again.list(), [two]);
      }));

    it('has no version of a name that no document can have', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        for (const bad of ['..', '../trial', 'a/b', ''])
          await assert.rejects(store.open({ name: bad, version: 1 }), refusal('NOT_FOUND'));
        await assert.rejects(store.open({ name: 'trial', version: 0.5 }), refusal('NOT_FOUND'));
      }));
  });
}
