import assert from 'node:assert/strict';

import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { SecureRecords, type StageAnswer } from '@tributary/edge-agent/internal/app/secure/secure-records.js';
import { roundKey, roundRef } from '@tributary/edge-agent/internal/domain/round-key.js';

import { refusal } from '../../support/refusal.js';

const key = roundKey({ jobId: 'job-a', round: 1, attempt: 0 });
const next = roundKey({ jobId: 'job-a', round: 1, attempt: 1 });
const answer = (byte: number): StageAnswer => ({
  payload: Uint8Array.of(byte),
  signature: new Uint8Array(64).fill(byte),
  attachments: new Map([['agt-b', Uint8Array.of(byte, byte)]]),
});
const [asked, other] = [Uint8Array.of(1), Uint8Array.of(2)];
const never = (): Promise<StageAnswer> => assert.fail('made a second answer');

describe('what a site keeps of secure rounds', () => {
  let store: MemoryStateStore;
  let records: SecureRecords;

  beforeEach(() => {
    store = new MemoryStateStore();
    records = new SecureRecords(store);
  });

  it('gives the same request the same bytes, in another process too, and refuses another one', async () => {
    await records.answer(key, 'share', asked, () => Promise.resolve(answer(7)));
    for (const process of [records, new SecureRecords(store)]) {
      const again = await process.answer(key, 'share', asked, never);
      assert.deepEqual([...again.payload, ...again.signature], [7, ...answer(7).signature]);
      assert.deepEqual(
        [...again.attachments].map(([to, data]) => [to, [...data]]),
        [['agt-b', [7, 7]]],
      );
      await assert.rejects(
        process.answer(key, 'share', other, never),
        refusal('SECAGG_STAGE_PASSED', /share/),
      );
    }
    const fresh = await records.answer(next, 'share', other, () => Promise.resolve(answer(8)));
    assert.deepEqual([...fresh.payload], [8]);
  });

  it('keeps nothing of an answer that could not be made', async () => {
    await assert.rejects(records.answer(key, 'agree', asked, () => Promise.reject(new Error('x'))));
    const made = await records.answer(key, 'agree', other, () => Promise.resolve(answer(3)));
    assert.deepEqual([...made.payload], [3]);
  });

  it('keeps the first of each announced set', async () => {
    for (const set of ['roster', 'cohort', 'survivors'] as const) {
      await records.keepSet(key, set, asked);
      await records.keepSet(key, set, asked.slice());
      await assert.rejects(records.keepSet(key, set, other), refusal('SECAGG_STAGE_PASSED', new RegExp(set)));
      assert.deepEqual([...((await records.set(key, set)) ?? [])], [...asked]);
    }
  });

  it('masks one delta in a round', async () => {
    await records.keepDelta(key, 'upl-1');
    await records.keepDelta(key, 'upl-1');
    await assert.rejects(records.keepDelta(key, 'upl-2'), refusal('SECAGG_STAGE_PASSED', /another update/));
    await records.keepDelta(next, 'upl-2');
  });

  it('forgets a settled round whole, and no other one', async () => {
    const secret = new Uint8Array(32);
    const secrets = { maskSecret: secret, sealSecret: secret, seed: secret, roundingSeed: secret };
    for (const of of [key, next]) {
      await records.begin(of, secrets, 5);
      await records.keepSet(of, 'roster', asked);
      await records.keepDelta(of, 'upl-1');
      await records.answer(of, 'share', asked, () => Promise.resolve(answer(7)));
      await records.keepDeliveries(of, [
        { agentId: 'agt-b', payload: asked, signature: other, attachment: other },
      ]);
    }
    await records.discard(key);
    assert.deepEqual(await records.rounds(), [{ ...roundRef(next), begunAt: 5 }]);
    assert.equal(await records.secrets(key), undefined);
    assert.equal((await records.deliveries(next)).length, 1);
    await records.discard(key);
    await records.discard(next);
    const left: string[] = [];
    for await (const { key: name } of store.list('')) left.push(name);
    assert.deepEqual(left, []);
  });
});
