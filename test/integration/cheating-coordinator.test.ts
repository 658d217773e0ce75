import assert from 'node:assert/strict';

import { canonicalize, encodeBase64, signStage, stageDigest, type RoundMember } from '@tributary/proto';

import {
  ANSWERED,
  type CheatingCoordinator,
  type PlayedRound,
  type Said,
} from '../support/cheating-coordinator.js';
import {
  append,
  cheatedFederation,
  forkOf,
  OTHER_BASE,
  plainSum,
  readsNothing,
  Refusals,
  reportsOf,
  reportsWithout,
  without,
} from '../support/cheated-federation.js';
import { HonestSite } from '../support/honest-site.js';
import { keyOf } from '../support/roster.js';
import type { ScriptedLog } from '../support/scripted-log.js';

/** Four sites of which one may collude and one drop out: t = 3. */
describe('a cheating coordinator', () => {
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

  it('reads every update where three of four sites give it all their shares: this suite can fail', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'unmask');
    const loot = coordinator.loot(round);
    await coordinator.bribe(round, loot, basel);
    await coordinator.bribe(round, loot, delft);
    assert.deepEqual(await loot.readable(), [], 'two shares of three');
    await coordinator.bribe(round, loot, lund);
    assert.equal((await loot.readable()).length, 4);
  });

  it('gets the seeds of the survivors and the key of a dropout from an honest round, and reads no update', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'share');
    await coordinator.lead(round, 'unmask', [basel, delft, lund]);
    const loot = coordinator.loot(round);
    assert.equal((await loot.secrets('seed')).size, 3);
    assert.deepEqual([...(await loot.secrets('key')).keys()], [turin.agentId]);
    assert.deepEqual(await loot.sumOf(round.updates), plainSum(round.updates));
    await readsNothing(coordinator, round);
  });

  it('surrounds a site with Sybil agents of its own', async () => {
    const sybils = await Promise.all(
      ['sybil-1', 'sybil-2', 'sybil-3'].map((site) => HonestSite.open(site, log)),
    );
    const round = coordinator.open({ sites: [basel, ...sybils] });
    await coordinator.lead(round, 'advertise');
    refusals.require(await coordinator.ask(round, 'share', [basel]), 'SECAGG_MESSAGE_INVALID');
    assert.equal(round.said.filter(({ stage }) => stage === 'share').length, 0);
  });

  it('puts keys of its own in the place of those of a member', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'advertise');
    const own = keyOf('mallory');
    const [victim] = coordinator.membersOf(round).filter(({ agentId }) => agentId === lund.agentId);
    assert.ok(victim !== undefined);
    const advertisement = { ...victim.advertisement, maskKey: encodeBase64(own.publicKey) };
    const signed = signStage(round.expected.round, 'advertise', lund.agentId, advertisement, own);
    const signature = encodeBase64(signed.signature);
    const forged = { ...victim, advertisement, signature };
    const show = async (member: RoundMember): Promise<void> => {
      const others = coordinator.membersOf(round).filter(({ agentId }) => agentId !== lund.agentId);
      const set = coordinator.roster(round, [...others, member]);
      coordinator.bend = (answer, stage) => (stage === 'advertise' ? { ...answer, set } : answer);
      const reports = coordinator
        .reports(round, 'advertise')
        .map((report) =>
          report.site === 'lund' ? { ...report, digest: stageDigest(canonicalize(advertisement)) } : report,
        );
      const other = coordinator.otherwise(round, 'advertise', reports);
      refusals.require(await coordinator.ask(other, 'share', [basel, delft, lund]), 'SECAGG_MESSAGE_INVALID');
    };
    await show(forged);
    await show({ ...forged, identityKey: encodeBase64(own.publicKey) });
  });

  it('shows one site another base model', async () => {
    const round = coordinator.open();
    const split = coordinator.open({ baseDigest: OTHER_BASE });
    await coordinator.ask(split, 'advertise', [turin]);
    await coordinator.ask(round, 'advertise', [basel, delft, lund]);
    round.said.push(...split.said);
    coordinator.close(round, 'advertise');
    refusals.require(await coordinator.ask(round, 'share', [basel, delft, lund]), 'SECAGG_MESSAGE_INVALID');
  });

  it('shows one site another cohort than its ledger names', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'share');
    const fewer = coordinator.saidIn(round, 'share').filter(({ agentId }) => agentId !== turin.agentId);
    const set = coordinator.cohort(round, fewer);
    coordinator.bend = (answer, stage) => (stage === 'share' ? { ...answer, set } : answer);
    refusals.require(await coordinator.ask(round, 'mask', [lund]), 'SECAGG_MESSAGE_INVALID');
    assert.deepEqual(round.updates, []);
  });

  it('shows one site another cohort, with a ledger entry for each', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'share');
    const fewer = coordinator.saidIn(round, 'share').filter(({ agentId }) => agentId !== turin.agentId);
    const other = coordinator.otherwise(
      round,
      'share',
      coordinator.reports(round, 'share').filter(({ site }) => site !== 'turin'),
    );
    const set = coordinator.cohort(round, fewer);
    coordinator.bend = (answer, stage, to) =>
      stage === 'share' && to === lund ? { ...answer, set } : answer;
    await coordinator.ask(other, 'mask', [lund]);
    await coordinator.ask(round, 'mask', [basel, delft, turin]);
    assert.equal(round.updates.length, 4);
    coordinator.close(round, 'mask');
    refusals.require(await coordinator.ask(round, 'agree', [lund]), 'SECAGG_MESSAGE_INVALID');
    await coordinator.lead(round, 'unmask', [basel, delft, turin]);
    assert.equal(
      (await coordinator.loot(round).secrets('seed')).size,
      4,
      'also that of lund, which is not enough',
    );
    await readsNothing(coordinator, round);
  });

  it('keeps two ledgers', async () => {
    const round = coordinator.open();
    const fork = forkOf(log);
    append(fork, 'job-of-turin');
    append(log, 'job-of-the-others');
    await coordinator.ask(round, 'advertise', [turin], fork);
    await coordinator.ask(round, 'advertise', [basel, delft, lund]);
    coordinator.close(round, 'advertise');
    refusals.require(await coordinator.ask(round, 'share', [basel, delft, lund]), 'LEDGER_FORKED');
  });

  it('asks for sums over cohorts that differ by one', async () => {
    const [first, second] = [coordinator.open(), coordinator.open({ attempt: 1 })];
    await coordinator.lead(first, 'unmask');
    await coordinator.lead(second, 'share');
    await coordinator.ask(second, 'mask', [basel, delft, lund]);
    coordinator.close(second, 'mask');
    refusals.require(await coordinator.ask(second, 'agree', [basel, delft, lund]), 'SECAGG_DIFFERENCING');
    const restarted = await Promise.all([basel, delft, lund].map((site) => site.copy()));
    refusals.require(await coordinator.ask(second, 'agree', restarted), 'SECAGG_DIFFERENCING');
    await readsNothing(coordinator, first);
    await readsNothing(coordinator, second);
    const again = coordinator.open({ attempt: 2 });
    await coordinator.lead(again, 'unmask');
    const next = coordinator.open({ attempt: 3, baseDigest: OTHER_BASE });
    await coordinator.lead(next, 'share');
    await coordinator.lead(next, 'unmask', [basel, delft, lund]);
  });

  it('has two cohorts that differ by one agreed before it unmasks either', async () => {
    const [first, second] = [coordinator.open(), coordinator.open({ attempt: 1 })];
    // The older attempt after the newer one: the other way about a site forgets the older one.
    await coordinator.lead(second, 'share');
    await coordinator.lead(first, 'share');
    await coordinator.lead(first, 'agree');
    await coordinator.lead(second, 'agree', [basel, delft, lund]);
    await coordinator.lead(first, 'unmask');
    refusals.require(await coordinator.ask(second, 'unmask', [basel, delft, lund]), 'SECAGG_DIFFERENCING');
    await readsNothing(coordinator, second);
  });

  it('tells one half that a site dropped out and the other half that it stayed: both shares of one peer', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'mask');
    const other = coordinator.otherwise(round, 'mask', reportsWithout(coordinator, round, turin));
    const [all, fewer] = [coordinator.survivors(round), without(coordinator, round, turin)];
    const deceived: readonly HonestSite[] = [basel, lund];
    coordinator.bend = (answer, stage, to) => {
      if (stage === 'mask') return { ...answer, set: deceived.includes(to) ? fewer : all };
      const set = deceived.includes(to) ? fewer : all;
      const records = coordinator
        .agreedOn(round, set)
        .map((said) => ({ ...said, attachment: new Uint8Array() }));
      return { ...answer, records };
    };
    const agreed = async (of: PlayedRound, sites: readonly HonestSite[]): Promise<void> => {
      for (const outcome of (await coordinator.ask(of, 'agree', sites)).values())
        assert.equal(outcome, ANSWERED);
    };
    await agreed(round, [delft, turin]);
    await agreed(other, deceived);
    coordinator.close(round, 'agree', reportsOf(round, coordinator.agreedOn(round, all)));
    coordinator.close(other, 'agree', reportsOf(other, coordinator.agreedOn(round, fewer)));
    refusals.require(await coordinator.ask(round, 'unmask', [delft, turin]), 'SECAGG_TOO_FEW');
    refusals.require(await coordinator.ask(other, 'unmask', deceived), 'SECAGG_TOO_FEW');
    await readsNothing(coordinator, round);
  });

  it('shrinks the survivor set, or leaves the site out of it', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'mask');
    const two = [basel, delft].map(({ agentId }) => agentId);
    const few = coordinator.otherwise(
      round,
      'mask',
      coordinator.reports(round, 'mask').filter(({ site }) => site === 'basel' || site === 'delft'),
    );
    let set = coordinator.survivors(round, two);
    coordinator.bend = (answer, stage) => (stage === 'mask' ? { ...answer, set } : answer);
    refusals.require(await coordinator.ask(few, 'agree', [basel, delft]), 'SECAGG_TOO_FEW');
    set = without(coordinator, round, turin);
    refusals.require(await coordinator.ask(round, 'agree', [turin]), 'SECAGG_MESSAGE_INVALID');
    await readsNothing(coordinator, round);
  });

  it('shows a survivor set that its members have not signed', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'mask');
    await coordinator.ask(round, 'agree', [basel, delft]);
    coordinator.close(round, 'agree');
    refusals.require(await coordinator.ask(round, 'unmask', [basel, delft]), 'SECAGG_TOO_FEW');
    const [genuine] = coordinator.saidIn(round, 'agree');
    assert.ok(genuine !== undefined);
    const forged: Said = { ...genuine, agentId: lund.agentId };
    const signed = [...coordinator.saidIn(round, 'agree'), forged];
    const other = coordinator.otherwise(round, 'agree', reportsOf(round, signed));
    const records = signed.map((said) => ({ ...said, attachment: new Uint8Array() }));
    coordinator.bend = (answer, stage) => (stage === 'agree' ? { ...answer, records } : answer);
    refusals.require(await coordinator.ask(other, 'unmask', [basel, delft]), 'SECAGG_MESSAGE_INVALID');
    await readsNothing(coordinator, round);
  });

  it('is met as SECURE-AGGREGATION.md says, attack by attack', function () {
    const titles = this.test?.parent?.tests.map((test) => test.title) ?? [];
    return refusals.requirePage('In a round', titles.slice(2, -1));
  });
});
