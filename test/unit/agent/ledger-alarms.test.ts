import assert from 'node:assert/strict';

import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { LedgerAlarms } from '@tributary/edge-agent/internal/app/ledger-alarms.js';
import { TributaryError } from '@tributary/proto';

import { refusal } from '../../support/refusal.js';
import { ScriptedLog } from '../../support/scripted-log.js';

const full = (): Promise<never> => Promise.reject(new TributaryError('STORE_FULL', 'the disk is full'));

describe('alarms about a log', () => {
  const log = new ScriptedLog();
  let store: MemoryStateStore;
  let note: () => Promise<void>;
  const open = (): Promise<LedgerAlarms> =>
    LedgerAlarms.open({ store, clock: { now: () => 0 }, note: () => note() });

  beforeEach(() => {
    store = new MemoryStateStore();
    note = () => Promise.resolve();
  });

  it('are settled once that is durable: after a full disk the same can be said again', async () => {
    const alarms = await open();
    await alarms.raise('Forked', await log.head(), await log.head());
    const put = store.put.bind(store);
    store.put = full;
    await assert.rejects(alarms.resolve(log.logId, 'Keep'), refusal('STORE_FULL'));
    assert.ok(alarms.open(log.logId) !== undefined);
    store.put = put;
    assert.equal((await alarms.resolve(log.logId, 'Keep')).resolved, 'Keep');
    assert.equal(alarms.open(log.logId), undefined);
    assert.equal((await open()).open(log.logId), undefined);
    await assert.rejects(alarms.resolve(log.logId, 'Keep'), refusal('CONFLICT'));
  });

  it("keep their evidence where the site's log takes nothing", async () => {
    note = full;
    const alarms = await open();
    await assert.rejects(
      alarms.raise('Shortened', await log.head(), await log.head()),
      refusal('STORE_FULL'),
    );
    assert.ok(alarms.open(log.logId) !== undefined);
    assert.equal((await open()).open(log.logId)?.kind, 'Shortened');
  });
});
