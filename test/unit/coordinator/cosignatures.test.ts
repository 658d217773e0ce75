import assert from 'node:assert/strict';

import {
  encodeBase64,
  leafHash,
  LIMITS,
  logIdOf,
  MerkleFrontier,
  signCosignature,
  TributaryError,
  type SigningKey,
} from '@tributary/proto';
import { MemoryLedgerStore } from '@tributary/coordinator/internal/adapters/memory/ledger-store.js';
import { ManualClock } from '@tributary/coordinator/internal/adapters/memory/manual-clock.js';
import { Cosignatures, type CosignatureParts } from '@tributary/coordinator/internal/app/cosignatures.js';
import type { Command } from '@tributary/coordinator/internal/domain/command.js';

import { collectAll } from '../../support/bytes.js';
import { refusal } from '../../support/refusal.js';
import { keyOf } from '../../support/roster.js';

const LOG_ID = logIdOf(keyOf('log').publicKey);
const TIME = '2026-01-01T00:00:00.000Z';

/** The root of a ledger of that many entries, each of them its number and what else is said. */
function rootOf(size: number, what = ''): Uint8Array {
  const tree = MerkleFrontier.empty();
  for (let seq = 0; seq < size; seq += 1) tree.append(leafHash(Buffer.from(`${what}${String(seq)}`)));
  return tree.root();
}

describe('what sites signed of heads', () => {
  let store: MemoryLedgerStore;
  let clock: ManualClock;
  let size: number;
  /** What its entries say. */
  let history: string;
  let alarms: { readonly subject: string; readonly code: string }[];
  let faults: unknown[];
  /** Awaited before the ledger says whether it holds a head. */
  let asked: (treeSize: number) => Promise<void>;

  beforeEach(() => {
    store = new MemoryLedgerStore();
    clock = new ManualClock(0);
    size = 20;
    history = '';
    alarms = [];
    faults = [];
    asked = () => Promise.resolve();
  });

  function open(): Promise<Cosignatures> {
    const federation: CosignatureParts['federation'] = {
      logId: LOG_ID,
      get state() {
        return { alarms, agents: new Map() } as unknown as CosignatureParts['federation']['state'];
      },
      size: () => size,
      holds: async ({ treeSize, rootHash }) => {
        await asked(treeSize);
        return treeSize <= size && Buffer.compare(rootOf(treeSize, history), rootHash) === 0;
      },
      execute: (command: Command) => {
        if (command.kind === 'raise-alarm') alarms.push(command);
        return Promise.resolve([]);
      },
    };
    return Cosignatures.open({ store, federation, clock, onFault: (error) => faults.push(error) });
  }

  const said = (site: string, treeSize: number, rootHash = rootOf(treeSize), key = keyOf(site)) => {
    const {
      agentId: _,
      logId: __,
      ...rest
    } = signCosignature(key, `agt-${site}`, { logId: LOG_ID, treeSize, rootHash }, TIME);
    return rest;
  };
  const by = (site: string, key: SigningKey = keyOf(site)) => ({
    agentId: `agt-${site}`,
    site,
    identityKey: encodeBase64(key.publicKey),
  });
  const listed = (cosignatures: Cosignatures, most = size) =>
    cosignatures.list(most).map(({ site, cosignature }) => [site, cosignature.treeSize]);
  const flush = async (): Promise<void> => {
    clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
  };

  it('are kept by site, the newest of each, by size, and are there after a restart', async () => {
    const cosignatures = await open();
    await cosignatures.take(by('west'), said('west', 9));
    await cosignatures.take(by('east'), said('east', 12));
    await cosignatures.take(by('west'), said('west', 15));
    await cosignatures.take(by('west'), said('west', 11));
    assert.deepEqual(listed(cosignatures), [
      ['east', 12],
      ['west', 15],
    ]);
    assert.deepEqual(listed(cosignatures, 14), [['east', 12]]);
    await cosignatures.close();
    assert.deepEqual(listed(await open()), listed(cosignatures));
    assert.deepEqual(faults, []);
  });

  it('are written within a second, those of all sites together', async () => {
    const writes: number[] = [];
    const put = store.putCosignatures.bind(store);
    store.putCosignatures = (records) => {
      writes.push(records.size);
      return put(records);
    };
    const cosignatures = await open();
    for (const site of ['a', 'b', 'c']) await cosignatures.take(by(site), said(site, 5));
    await flush();
    assert.deepEqual(writes, [3]);
    assert.deepEqual(listed(await open()).length, 3);
  });

  it('are written with the next ones where a write failed, and none is taken back by an older one', async () => {
    const put = store.putCosignatures.bind(store);
    store.putCosignatures = () => Promise.reject(new TributaryError('STORE_FULL', 'the disk is full'));
    const cosignatures = await open();
    await cosignatures.take(by('east'), said('east', 5));
    await cosignatures.take(by('west'), said('west', 5));
    await flush();
    assert.deepEqual(
      faults.map((error) => TributaryError.from(error).code),
      ['STORE_FULL'],
    );
    assert.deepEqual(await collectAll(store.cosignatures()), []);
    await cosignatures.take(by('east'), said('east', 8));
    store.putCosignatures = put;
    await flush();
    assert.deepEqual(listed(await open()), [
      ['west', 5],
      ['east', 8],
    ]);
  });

  it('are not lost that come while others are written', async () => {
    const put = store.putCosignatures.bind(store);
    const begun: (() => void)[] = [];
    store.putCosignatures = async (records) => {
      await new Promise<void>((resolve) => begun.push(resolve));
      return put(records);
    };
    const cosignatures = await open();
    await cosignatures.take(by('east'), said('east', 5));
    await flush();
    await cosignatures.take(by('east'), said('east', 8));
    await flush();
    const closed = cosignatures.close();
    while (listed(await open())[0]?.[1] !== 8) {
      begun.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const go of begun) go();
    await closed;
    assert.deepEqual(listed(await open()), [['east', 8]]);
  });

  it('of a smaller head do not replace a larger one that came while it was looked at', async () => {
    const cosignatures = await open();
    let go = (): void => undefined;
    asked = (treeSize) => (treeSize === 5 ? new Promise((resolve) => (go = resolve)) : Promise.resolve());
    const slow = cosignatures.take(by('east'), said('east', 5));
    await cosignatures.take(by('east'), said('east', 9));
    go();
    await slow;
    assert.deepEqual(listed(cosignatures), [['east', 9]]);
  });

  it('are refused of another key, of no tree, and of another tree, which raises one alarm', async () => {
    const cosignatures = await open();
    await assert.rejects(
      cosignatures.take(by('east'), said('east', 5, rootOf(5), keyOf('eve'))),
      refusal('SIGNATURE_INVALID'),
    );
    const { signature } = said('east', 5);
    await assert.rejects(
      cosignatures.take(by('east'), { treeSize: 6, rootHash: rootOf(6), time: TIME, signature }),
      refusal('SIGNATURE_INVALID'),
    );
    await assert.rejects(
      cosignatures.take(by('east'), { ...said('east', 5), time: 'yesterday' }),
      refusal('INVALID_ARGUMENT'),
    );
    for (const [treeSize, root] of [
      [5, rootOf(5, 'x')],
      [size + 1, rootOf(size + 1)],
    ] as const)
      await assert.rejects(
        cosignatures.take(by('east'), said('east', treeSize, root)),
        refusal('LEDGER_FORKED'),
      );
    assert.deepEqual(
      alarms.map(({ subject, code }) => [subject, code]),
      [['agent/agt-east', 'LEDGER_FORKED']],
    );
    assert.deepEqual(listed(cosignatures), []);
  });

  it('say nothing about a ledger that was restored and does not hold what they are of', async () => {
    const before = await open();
    await before.take(by('east'), said('east', 5));
    await before.take(by('west'), said('west', 20));
    await before.close();
    size = 10;
    assert.deepEqual(listed(await open()), [['east', 5]]);
    // It has grown again since, otherwise than it was.
    size = 30;
    history = 'restored ';
    assert.deepEqual(listed(await open()), []);
  });

  it('that cannot be read, or are of a newer version, are named, and the others kept', async () => {
    const before = await open();
    for (const site of ['east', 'north', 'west']) await before.take(by(site), said(site, 5));
    await before.close();
    const signed = await collectAll(store.cosignatures());
    const altered = Buffer.from(signed[1] ?? [])
      .toString()
      .replace('"treeSize":5', '"treeSize":6');
    await store.putCosignatures(
      new Map([
        ['east', Buffer.from('{}')],
        ['north', Buffer.from(altered)],
      ]),
    );
    assert.deepEqual(listed(await open()), [['west', 5]]);
    assert.deepEqual(
      faults.map((error) => TributaryError.from(error).code),
      ['STORE_CORRUPT', 'STORE_CORRUPT'],
    );
    await store.putCosignatures(new Map([['east', Buffer.from('{"formatVersion":2}')]]));
    await assert.rejects(open(), refusal('FORMAT_UNSUPPORTED'));
  });

  it('are of no more sites than a federation has', async function () {
    this.timeout(60_000);
    const cosignatures = await open();
    const root = rootOf(1);
    const key = keyOf('all');
    for (let at = 0; at <= LIMITS.agents; at += 1) {
      const site = `s${String(at)}`;
      await cosignatures.take(by(site, key), said(site, 1, root, key));
    }
    assert.equal(cosignatures.list(1).length, LIMITS.agents);
    await cosignatures.take(by('s0', key), said('s0', 2, rootOf(2), key));
    assert.equal(cosignatures.list(2).length, LIMITS.agents);
  });
});
