import assert from 'node:assert/strict';

import { LIMITS, TributaryError, type SignedTreeHead } from '@tributary/proto';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import type { Witness } from '@tributary/edge-agent/internal/app/witness.js';

import type { DecisionNote } from '@tributary/edge-agent/internal/domain/decision.js';

import { openWitness } from '../../support/open-witness.js';
import { refusal } from '../../support/refusal.js';
import { ScriptedLog } from '../../support/scripted-log.js';

async function grow(log: ScriptedLog, count: number): Promise<readonly SignedTreeHead[]> {
  const heads: SignedTreeHead[] = [];
  for (let index = 0; index < count; index += 1) {
    log.append({ type: 'context.created', actor: 'context/root', subject: 'context/x', body: body(index) });
    heads.push(await log.head());
  }
  return heads;
}

const body = (index: number) => ({
  context: `viewer-${String(index)}`,
  role: 'viewer' as const,
  keyDigest: `sha256:${'0'.repeat(64)}` as const,
});

describe('the witness of a log', () => {
  let log: ScriptedLog;
  let store: MemoryStateStore;
  let witness: Witness;

  beforeEach(async () => {
    log = new ScriptedLog();
    store = new MemoryStateStore();
    witness = await openWitness(store, { logId: log.logId, logKey: log.key.publicKey });
  });

  it('asks for one proof a head at most, for several at the same time, and keeps the newest', async () => {
    const heads = await grow(log, 20);
    let [asked, open, most] = [0, 0, 0];
    const prove = async (first: number, second: number) => {
      asked += 1;
      most = Math.max(most, (open += 1));
      await new Promise((resolve) => setImmediate(resolve));
      open -= 1;
      return log.consistency(first, second);
    };
    await witness.observeAll([...heads].reverse(), prove);
    assert.equal(asked, heads.length - 1);
    assert.equal(most, LIMITS.proofsTogether);
    assert.equal(witness.head?.treeSize, heads.at(-1)?.treeSize);
    const again = await openWitness(store, { logId: log.logId, logKey: log.key.publicKey });
    assert.equal(again.head?.treeSize, heads.at(-1)?.treeSize);
  });

  it('finds the one that is of another history, wherever it stands', async () => {
    const heads = await grow(log, 3);
    const fork = new ScriptedLog();
    await grow(fork, 1);
    fork.append({
      type: 'context.revoked',
      actor: 'context/root',
      subject: 'context/x',
      body: { context: 'y' },
    });
    const foreign = await fork.head();
    const prove = (first: number, second: number) => log.consistency(first, second);
    for (const all of [
      [foreign, ...heads],
      [...heads, foreign],
    ]) {
      const notes: DecisionNote[] = [];
      const own = await openWitness(
        new MemoryStateStore(),
        { logId: log.logId, logKey: log.key.publicKey },
        notes,
      );
      await assert.rejects(own.observeAll(all, prove), refusal('LEDGER_FORKED', /contradicts/));
      assert.equal(own.head, undefined);
      assert.deepEqual(
        notes.map(({ type }) => type),
        ['LedgerAlarm'],
      );
      await assert.rejects(own.observeAll(heads, prove), refusal('LEDGER_FORKED', /contradicts/));
    }
    await witness.observeAll(heads, prove);
  });

  it('gives up the head that it kept and settles the alarm in one write, which a crash leaves out or whole', async () => {
    const pinned = { logId: log.logId, logKey: log.key.publicKey };
    const heads = await grow(log, 3);
    const prove = (first: number, second: number) => log.consistency(first, second);
    await witness.observeAll(heads, prove);
    const [first] = heads;
    assert.ok(first);
    await assert.rejects(witness.observe(first, prove, 'Newest'), refusal('LEDGER_SHORTENED'));
    assert.equal(witness.cosign(log.key, 'agt-1', 0), undefined);
    const put = store.put.bind(store);
    let writes = 0;
    store.put = () => Promise.reject(new TributaryError('STORE_FULL', 'the disk is full'));
    await assert.rejects(witness.settle('Accept'), refusal('STORE_FULL'));
    for (const found of [witness, await openWitness(store, pinned)]) {
      assert.equal(found.alarm?.kind, 'Shortened');
      assert.equal(found.head?.treeSize, heads.at(-1)?.treeSize);
    }
    store.put = (changes) => {
      writes += 1;
      return put(changes);
    };
    assert.equal((await witness.settle('Accept')).resolved, 'Accept');
    assert.equal(writes, 1);
    for (const found of [witness, await openWitness(store, pinned)]) {
      assert.equal(found.alarm, undefined);
      assert.equal(found.head?.treeSize, first.treeSize);
      assert.equal(found.cosign(log.key, 'agt-1', 0)?.treeSize, first.treeSize);
    }
    await witness.observeAll(heads, prove);
  });
});
