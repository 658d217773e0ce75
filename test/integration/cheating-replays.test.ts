import assert from 'node:assert/strict';

import { ANSWERED, type CheatingCoordinator } from '../support/cheating-coordinator.js';
import {
  append,
  bytesOf,
  cheatedFederation,
  forkOf,
  OTHER_BASE,
  plainSum,
  readsNothing,
  Refusals,
  reportsOf,
  reportsWithout,
  saidBy,
  without,
} from '../support/cheated-federation.js';
import { refusal } from '../support/refusal.js';
import type { HonestSite, MaskedUpdate } from '../support/honest-site.js';
import type { ScriptedLog } from '../support/scripted-log.js';

/** Four sites of which one may collude and one drop out: t = 3. */
describe('a coordinator that cheats with what was said before', () => {
  const refusals = new Refusals();
  let coordinator: CheatingCoordinator;
  let log: ScriptedLog;
  let basel: HonestSite;
  let delft: HonestSite;
  let lund: HonestSite;
  let turin: HonestSite;

  beforeEach(async function () {
    refusals.title = this.currentTest?.title ?? '';
    ({ coordinator, log, basel, delft, lund, turin } = await cheatedFederation());
  });

  it('asks for a second unmask answer', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'unmask');
    const other = coordinator.otherwise(round, 'mask', reportsWithout(coordinator, round, turin));
    const set = without(coordinator, round, turin);
    coordinator.bend = (answer, stage) => (stage === 'mask' ? { ...answer, set } : answer);
    refusals.require(await coordinator.ask(other, 'agree', [basel, delft, lund]), 'SECAGG_STAGE_PASSED');
    coordinator.bend = (answer) => answer;
    const before = saidBy(round, basel, 'unmask');
    await coordinator.ask({ ...round, closings: round.closings.slice(0, 4) }, 'unmask', [basel]);
    const [first, second] = saidBy(round, basel, 'unmask');
    assert.equal(before.length, 1);
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(bytesOf(second), bytesOf(first));
    await readsNothing(coordinator, round);
  });

  it('replays keys and shares of an earlier attempt', async () => {
    const [first, second] = [coordinator.open(), coordinator.open({ attempt: 1 })];
    await coordinator.lead(first, 'share');
    await coordinator.lead(second, 'advertise');
    const old = coordinator.membersOf(first).filter(({ agentId }) => agentId === lund.agentId);
    const fresh = coordinator.membersOf(second).filter(({ agentId }) => agentId !== lund.agentId);
    const set = coordinator.roster(second, [...fresh, ...old]);
    coordinator.bend = (answer, stage) => (stage === 'advertise' ? { ...answer, set } : answer);
    refusals.require(await coordinator.ask(second, 'share', [basel]), 'SECAGG_MESSAGE_INVALID');
    coordinator.bend = (answer) => answer;
    await coordinator.lead(second, 'share');
    const dealt = saidBy(first, lund, 'share')[0];
    assert.ok(dealt !== undefined);
    coordinator.bend = (answer, _stage, to) => ({
      ...answer,
      records: answer.records.map((record) =>
        record.agentId === lund.agentId
          ? { ...dealt, attachment: dealt.attachments.get(to.agentId) ?? new Uint8Array() }
          : record,
      ),
    });
    refusals.require(await coordinator.ask(second, 'mask', [basel]), 'SECAGG_MESSAGE_INVALID');
  });

  it('replays stages, and gets the stored answers and the same masked update', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'agree');
    const replayed: MaskedUpdate[] = [];
    for (const [closed, stage] of (['advertise', 'share', 'mask', 'agree'] as const).entries()) {
      const closings = round.closings.slice(0, closed);
      const again = { ...round, closings, ...(stage === 'mask' && { updates: replayed }) };
      assert.equal((await coordinator.ask(again, stage, [basel])).get('basel'), ANSWERED);
    }
    for (const stage of ['advertise', 'share', 'agree'] as const) {
      const [first, second] = saidBy(round, basel, stage);
      assert.ok(first !== undefined && second !== undefined);
      assert.equal(bytesOf(second), bytesOf(first), stage);
    }
    const once = round.updates.find(({ agentId }) => agentId === basel.agentId);
    assert.ok(once !== undefined);
    assert.deepEqual(replayed[0]?.words, once.words);
    await assert.rejects(basel.update(round.expected, 'another training'), refusal('SECAGG_STAGE_PASSED'));
  });

  it('replays the masked update of an earlier attempt', async () => {
    const [first, second] = [coordinator.open(), coordinator.open({ attempt: 1 })];
    await coordinator.lead(first, 'mask');
    await coordinator.lead(second, 'unmask');
    const old = first.updates.filter(({ agentId }) => agentId === lund.agentId);
    const fresh = second.updates.filter(({ agentId }) => agentId !== lund.agentId);
    const loot = coordinator.loot(second);
    assert.deepEqual(await loot.sumOf(second.updates), plainSum(second.updates));
    const sum = await loot.sumOf([...fresh, ...old]);
    const plain = plainSum(second.updates);
    // The words besides those of the delta, which tell whether all masks cancel, are wrong too.
    assert.ok(sum.every((word, index) => word !== plain[index]));
    await readsNothing(coordinator, first);
    await readsNothing(coordinator, second);
  });

  it('was restored from a backup: a round that was open begins again with another model, or history again', async () => {
    const before = log.entries.length;
    const round = coordinator.open();
    await coordinator.lead(round, 'share');
    const other = coordinator.open({ baseDigest: OTHER_BASE });
    refusals.require(await coordinator.ask(other, 'advertise'), 'SECAGG_STAGE_PASSED');
    const restored = forkOf(log);
    restored.entries = restored.entries.slice(0, before);
    while (restored.entries.length < log.entries.length) append(restored, 'job-after-the-backup');
    const anew = coordinator.open({}, restored);
    refusals.require(await coordinator.ask(anew, 'advertise', anew.sites, restored), 'LEDGER_FORKED');
  });

  it('finds a site that was restored from a backup before the round', async () => {
    const restored = await basel.copy(1);
    const round = coordinator.open();
    await coordinator.lead(round, 'share');
    refusals.require(await coordinator.ask(round, 'mask', [restored]), 'SECAGG_STAGE_PASSED');
  });

  it('has two sets signed by a site that was restored in the middle of a round: one colluder, no more', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'mask');
    const restored = await basel.copy(1);
    const other = coordinator.otherwise(round, 'mask', reportsWithout(coordinator, round, turin));
    await coordinator.lead(round, 'unmask', [basel, delft, turin]);
    const set = without(coordinator, round, turin);
    coordinator.bend = (answer, stage) => {
      if (stage === 'mask') return { ...answer, set };
      const records = coordinator
        .agreedOn(round, set)
        .map((said) => ({ ...said, attachment: new Uint8Array() }));
      return { ...answer, records };
    };
    await coordinator.ask(other, 'agree', [restored, lund]);
    const signed = coordinator.agreedOn(round, set);
    assert.equal(signed.length, 2, 'basel has signed both');
    coordinator.close(other, 'agree', reportsOf(round, signed));
    refusals.require(await coordinator.ask(other, 'unmask', [restored, lund]), 'SECAGG_TOO_FEW');
    await readsNothing(coordinator, round);
  });

  it('plays a twin agent off against its other self', async () => {
    const twin = await basel.copy(1);
    const round = coordinator.open();
    await coordinator.lead(round, 'advertise');
    await coordinator.ask({ ...round, closings: [] }, 'advertise', [twin]);
    const [first, second] = saidBy(round, basel, 'advertise');
    assert.notDeepEqual(second?.payload, first?.payload, 'its keys are others');
    refusals.require(await coordinator.ask(round, 'share', [twin]), 'SECAGG_MESSAGE_INVALID');
    await coordinator.lead(round, 'unmask');
    await readsNothing(coordinator, round);
  });

  it('is met as SECURE-AGGREGATION.md says, attack by attack', function () {
    const titles = this.test?.parent?.tests.map((test) => test.title) ?? [];
    return refusals.requirePage('With what was said before', titles.slice(0, -1));
  });
});
