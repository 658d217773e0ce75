import assert from 'node:assert/strict';

import {
  canonicalize,
  LIMITS,
  parseCanonical,
  signingKeyFromSeed,
  TributaryError,
  verifyConsistency,
  verifyInclusion,
  leafHash,
  verifyTreeHead,
  type JsonObject,
} from '@tributary/proto';
import { MemoryLedgerStore } from '@tributary/coordinator/internal/adapters/memory/ledger-store.js';
import { openFederation, type Federation } from '@tributary/coordinator/internal/app/federation.js';
import type { Command } from '@tributary/coordinator/internal/domain/command.js';
import { SNAPSHOT_VERSION } from '@tributary/coordinator/internal/domain/snapshot.js';
import type { LedgerStore } from '@tributary/coordinator/internal/ports.js';

import { collectAll } from '../../support/bytes.js';
import { digestNamed, idOf, keyNamed, submission, type Wish } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

const signer = signingKeyFromSeed(new Uint8Array(32).fill(3));
const NOW = Date.parse('2026-01-01T00:00:00.000Z');
const clock = { now: (): number => NOW + 5 };

const command = (wish: Wish, now = NOW): Command => ({ ...wish, now, actor: 'context/root' });

const creation = command({
  kind: 'create-federation',
  federationId: idOf('fed', 'test'),
  name: 'test',
  logKey: Buffer.from(signer.publicKey).toString('base64'),
  modelKey: keyNamed('model'),
  caDigest: digestNamed('ca'),
});
const alarm = (detail: string): Command =>
  command({ kind: 'raise-alarm', subject: 'federation', code: 'TEST', detail });

async function opened(store: LedgerStore = new MemoryLedgerStore()): Promise<Federation> {
  return openFederation({ store, signer, clock });
}

async function begun(store: LedgerStore = new MemoryLedgerStore()): Promise<Federation> {
  const federation = await opened(store);
  await federation.execute(creation);
  return federation;
}

describe('the single writer of the ledger', () => {
  it('records what was decided with sequence and time, durable before it answers', async () => {
    const store = new MemoryLedgerStore();
    const federation = await begun(store);
    const [entry] = await federation.execute(alarm('one'));
    assert.equal(store.size(), 2);
    assert.deepEqual(
      [entry?.v, entry?.seq, entry?.time, entry?.actor],
      [1, 1, '2026-01-01T00:00:00.000Z', 'context/root'],
    );
    assert.equal(federation.size(), 2);
    const [, item] = await collectAll(federation.entries(0));
    assert.deepEqual(item?.entry, entry);
  });

  it('answers a repeat with no entry', async () => {
    const federation = await begun();
    assert.deepEqual(await federation.execute(creation), []);
    assert.equal(federation.size(), 1);
  });

  it('decides each of many simultaneous commands on the state that the last one left', async () => {
    const federation = await begun();
    const create = (): Command =>
      command({ kind: 'create-context', context: 'root', role: 'admin', keyDigest: digestNamed('root') });
    const results = await Promise.all(
      [create(), create(), create(), alarm('last')].map((one) => federation.execute(one)),
    );
    assert.deepEqual(
      results.map(({ length }) => length),
      [1, 0, 0, 1],
    );
    assert.equal(results[3]?.[0]?.seq, 2);
  });

  it('rejects what is refused and goes on', async () => {
    const federation = await begun();
    const results = await Promise.allSettled([
      federation.execute(command({ kind: 'approve-site', site: 'nowhere' })),
      federation.execute(alarm('after')),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    );
    assert.equal(federation.size(), 2);
  });

  it('leaves the state untouched where the disk is full, and goes on when there is room', async () => {
    const store = new MemoryLedgerStore();
    const federation = await begun(store);
    const { state } = federation;
    store.capacityBytes = 0;
    const told: number[] = [];
    federation.subscribe((entries) => told.push(entries.length));
    await assert.rejects(federation.execute(alarm('lost')), refusal('STORE_FULL'));
    assert.equal(federation.state, state);
    assert.deepEqual(told, []);
    store.capacityBytes = Number.POSITIVE_INFINITY;
    const [entry] = await federation.execute(alarm('kept'));
    assert.equal(entry?.seq, 1);
    assert.equal((await opened(store)).state.alarms[0]?.detail, 'kept');
  });

  it('records the alarm of a refused enrolment, and refuses all the same where it cannot', async () => {
    const store = new MemoryLedgerStore();
    const federation = await begun(store);
    const tokenId = idOf('tok', 'west');
    await federation.execute(
      command({
        kind: 'create-token',
        tokenId,
        site: 'west',
        labels: {},
        key: keyNamed('t'),
        ttlMs: 0,
        approve: true,
      }),
    );
    const enrol = (name: string): Command =>
      command({
        kind: 'enrol-agent',
        tokenId,
        identityKey: keyNamed(name),
        keyDigest: digestNamed(name),
        agentId: idOf('agt', name),
      });
    await federation.execute(enrol('first'));
    const size = federation.size();
    store.capacityBytes = 0;
    await assert.rejects(federation.execute(enrol('second')), refusal('TOKEN_USED'));
    assert.equal(federation.size(), size);
    store.capacityBytes = Number.POSITIVE_INFINITY;
    for (let times = 0; times < 3; times += 1) {
      await assert.rejects(federation.execute(enrol('second')), refusal('TOKEN_USED'));
    }
    assert.equal(federation.size(), size + 1);
    assert.equal(federation.state.alarms[0]?.code, 'TOKEN_USED');
  });

  it('refuses a decision that its readers could not read', async () => {
    const federation = await begun();
    const wrong = command({ kind: 'raise-alarm', subject: 'federation', code: 'X', detail: '' }, NOW);
    await assert.rejects(
      federation.execute({ ...wrong, actor: '\ud800' }),
      (error) => error instanceof TributaryError,
    );
    const [entry] = await federation.execute(wrong);
    assert.equal(entry?.seq, 1);
  });
});

describe('followers of the ledger', () => {
  it('are told of each append in order, with the state after it, until they unsubscribe', async () => {
    const federation = await begun();
    const told: [number, number][] = [];
    const stop = federation.subscribe((entries, state) => told.push([entries[0]?.seq ?? -1, state.seq]));
    await Promise.all(['1', '2', '3'].map((detail) => federation.execute(alarm(detail))));
    stop();
    await federation.execute(alarm('4'));
    assert.deepEqual(told, [
      [1, 2],
      [2, 3],
      [3, 4],
    ]);
  });

  it('are told before the command resolves', async () => {
    const federation = await begun();
    const order: string[] = [];
    federation.subscribe(() => order.push('told'));
    await federation.execute(alarm('1')).then(() => order.push('resolved'));
    assert.deepEqual(order, ['told', 'resolved']);
  });

  it('that throw stop neither the ledger nor the others', async () => {
    const faults: unknown[] = [];
    const federation = await openFederation({
      store: new MemoryLedgerStore(),
      signer,
      clock,
      onFault: (error) => faults.push(error),
    });
    let told = 0;
    const fault = new Error('a listener that throws');
    federation.subscribe(() => {
      throw fault;
    });
    federation.subscribe(() => (told += 1));
    await federation.execute(creation);
    assert.deepEqual([told, faults], [1, [fault]]);
  });

  it('may command; their commands come after those that wait', async () => {
    const federation = await begun();
    let once = false;
    const nested: Promise<unknown>[] = [];
    federation.subscribe(() => {
      if (once) return;
      once = true;
      nested.push(federation.execute(alarm('nested')));
    });
    await Promise.all([federation.execute(alarm('first')), federation.execute(alarm('second'))]);
    await Promise.all(nested);
    assert.deepEqual(
      federation.state.alarms.map(({ detail }) => detail),
      ['first', 'second', 'nested'],
    );
  });
});

describe('a federation that is opened again', () => {
  it('has the state of before', async () => {
    const store = new MemoryLedgerStore();
    const first = await begun(store);
    await first.execute(command(submission('loans')));
    const second = await opened(store);
    assert.deepEqual(second.state, first.state);
  });

  it('takes the snapshot of a clean end and reads nothing before it', async () => {
    const store = new MemoryLedgerStore();
    const first = await begun(store);
    await first.execute(alarm('one'));
    await first.close();
    assert.equal((await store.latestSnapshot())?.size, 2);
    const starts: number[] = [];
    const watched: LedgerStore = Object.assign(Object.create(store) as LedgerStore, {
      size: () => store.size(),
      latestSnapshot: () => store.latestSnapshot(),
      read: (start: number, end: number) => {
        starts.push(start);
        return store.read(start, end);
      },
    });
    assert.deepEqual((await opened(watched)).state, first.state);
    assert.deepEqual(starts, [2]);
  });

  it('writes a snapshot every so many entries', async () => {
    const store = new MemoryLedgerStore();
    const federation = await begun(store);
    for (let at = 1; at < LIMITS.snapshotEveryEntries + 3; at += 1)
      await federation.execute(alarm(String(at)));
    assert.equal((await store.latestSnapshot())?.size, LIMITS.snapshotEveryEntries);
    assert.deepEqual((await opened(store)).state, federation.state);
  });

  it('bars builds that do not know its entries before it writes any, whatever they left', async () => {
    const versionOf = async (store: LedgerStore): Promise<unknown> => {
      const latest = (await store.latestSnapshot()) ?? assert.fail('no snapshot');
      assert.equal(latest.size, store.size());
      return (JSON.parse(Buffer.from(latest.snapshot).toString()) as { formatVersion: unknown })
        .formatVersion;
    };
    const killed = new MemoryLedgerStore();
    await begun(killed);
    assert.equal(await killed.latestSnapshot(), undefined);
    const closed = new MemoryLedgerStore();
    await (await begun(closed)).close();
    const latest = (await closed.latestSnapshot()) ?? assert.fail();
    const older = { ...(parseCanonical(latest.snapshot, 10_000_000) as JsonObject), formatVersion: 4 };
    await closed.putSnapshot(latest.size, canonicalize(older));
    for (const store of [killed, closed]) {
      await opened(store);
      assert.equal(await versionOf(store), SNAPSHOT_VERSION);
    }
  });

  it('folds the whole ledger where the snapshot is damaged, or of another ledger', async () => {
    for (const [size, bytes] of [
      [1, Buffer.from('noise')],
      [99, undefined],
    ] as const) {
      const store = new MemoryLedgerStore();
      const federation = await begun(store);
      await federation.execute(alarm('one'));
      await federation.close();
      const latest = await store.latestSnapshot();
      await store.putSnapshot(size, bytes ?? latest?.snapshot ?? new Uint8Array());
      assert.deepEqual((await opened(store)).state, federation.state);
    }
  });

  it('names a snapshot that its store finds damaged, and folds the whole ledger', async () => {
    const store = new MemoryLedgerStore();
    const federation = await begun(store);
    await federation.close();
    store.latestSnapshot = () => Promise.reject(new TributaryError('STORE_CORRUPT', 'the snapshot'));
    const faults: unknown[] = [];
    const again = await openFederation({ store, signer, clock, onFault: (error) => faults.push(error) });
    assert.deepEqual(again.state, federation.state);
    assert.ok(faults[0] instanceof TributaryError && faults[0].code === 'STORE_CORRUPT');
  });

  it('goes on without snapshots where none can be written', async () => {
    const faults: unknown[] = [];
    const store = new MemoryLedgerStore();
    store.putSnapshot = () => Promise.reject(new TributaryError('STORE_FULL', 'no room'));
    const federation = await openFederation({ store, signer, clock, onFault: (error) => faults.push(error) });
    await federation.execute(creation);
    await federation.close();
    assert.ok(faults[0] instanceof TributaryError);
    assert.equal((await opened(store)).size(), 1);
  });

  it('refuses damaged entries, newer formats and the key of another log', async () => {
    const damaged = new MemoryLedgerStore();
    await damaged.append(0, [Buffer.from('{}')]);
    await assert.rejects(opened(damaged), refusal('STORE_CORRUPT'));
    const store = new MemoryLedgerStore();
    const federation = await begun(store);
    await federation.close();
    const other = signingKeyFromSeed(new Uint8Array(32).fill(4));
    await assert.rejects(
      openFederation({ store, signer: other, clock }),
      refusal('CONFLICT', /another tree-head key/),
    );
  });

  it('finishes what waits when it is closed, and takes nothing more', async () => {
    const federation = await begun();
    const waiting = federation.execute(alarm('one'));
    const closing = federation.close();
    await assert.rejects(federation.execute(alarm('two')), refusal('SHUTTING_DOWN'));
    assert.equal((await waiting).length, 1);
    await closing;
  });
});

describe('the signed tree head', () => {
  it('commits to every entry, and grows consistently', async () => {
    const federation = await begun();
    const first = await federation.treeHead();
    verifyTreeHead(signer.publicKey, first);
    assert.deepEqual(
      [first.logId, first.treeSize, first.time],
      [federation.logId, 1, '2026-01-01T00:00:00.005Z'],
    );
    await federation.execute(alarm('one'));
    await federation.execute(alarm('two'));
    const second = await federation.treeHead();
    const proof = await federation.consistencyProof(first.treeSize, second.treeSize);
    assert.ok(verifyConsistency(1, 3, first.rootHash, second.rootHash, proof));
    for await (const { entry, bytes } of federation.entries(0)) {
      const path = await federation.inclusionProof(entry.seq, second.treeSize);
      assert.ok(verifyInclusion(entry.seq, 3, leafHash(bytes), path, second.rootHash));
    }
    await assert.rejects(federation.inclusionProof(3, 3), refusal('INVALID_ARGUMENT'));
  });

  it('is made once for a size, and again after a failure', async () => {
    const store = new MemoryLedgerStore();
    let fails = true;
    const rootHash = store.rootHash.bind(store);
    store.rootHash = (size) =>
      fails ? Promise.reject(new TributaryError('STORE_CORRUPT', 'once')) : rootHash(size);
    const federation = await begun(store);
    await assert.rejects(federation.treeHead(), refusal('STORE_CORRUPT'));
    fails = false;
    const head = await federation.treeHead();
    assert.equal(await federation.treeHead(), head);
  });

  it('serves ranges of entries up to the size', async () => {
    const federation = await begun();
    await federation.execute(alarm('one'));
    const seqs = async (start: number, end?: number): Promise<number[]> =>
      (await collectAll(federation.entries(start, end))).map(({ entry }) => entry.seq);
    assert.deepEqual(await seqs(0), [0, 1]);
    assert.deepEqual(await seqs(1, 99), [1]);
    assert.deepEqual(await seqs(2), []);
    assert.deepEqual(await seqs(0, 1), [0]);
  });
});
