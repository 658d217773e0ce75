import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import {
  canonicalize,
  encodeBase64,
  signStage,
  stageDigest,
  verifyRoster,
  type Digest,
  type ErrorCode,
  type RoundMember,
} from '@tributary/proto';

import {
  ANSWERED,
  CheatingCoordinator,
  type Outcome,
  type PlayedRound,
  type Said,
} from '../support/cheating-coordinator.js';
import { HonestSite, type MaskedUpdate } from '../support/honest-site.js';
import { keyOf, rootOf, rosterOf, signedBy } from '../support/roster.js';
import { ScriptedLog } from '../support/scripted-log.js';

const SITES = ['basel', 'delft', 'lund', 'turin'];
const OTHER_BASE: Digest = `sha256:${'6'.repeat(64)}`;
const root = rootOf(1, 'ada');
const members = verifyRoster(root, signedBy(rosterOf(root, SITES), 'ada'), Date.UTC(2026, 1));
const CONTROLS = 2;

function plainSum(updates: readonly MaskedUpdate[]): Uint32Array {
  const sum = new Uint32Array(updates[0]?.plain.length ?? 0);
  for (const { plain } of updates) plain.forEach((word, index) => (sum[index] = (sum[index] ?? 0) + word));
  return sum;
}

/** All that left with a message, in hex. */
const bytesOf = ({ payload, signature, attachments }: Said): string =>
  [payload, signature, ...attachments.values()].map((part) => Buffer.from(part).toString('hex')).join();

/** Four sites of which one may collude and one drop out: t = 3. */
describe('a cheating coordinator', () => {
  let coordinator: CheatingCoordinator;
  let log: ScriptedLog;
  let basel: HonestSite;
  let delft: HonestSite;
  let lund: HonestSite;
  let turin: HonestSite;

  /** Codes that met each attack. */
  const met = new Map<string, ReadonlySet<ErrorCode>>();
  let title = '';

  beforeEach(async function () {
    title = this.currentTest?.title ?? '';
    log = new ScriptedLog();
    const open = (site: string): Promise<HonestSite> => HonestSite.open(site, log, { roster: members });
    [basel, delft, lund, turin] = await Promise.all([
      open('basel'),
      open('delft'),
      open('lund'),
      open('turin'),
    ]);
    coordinator = new CheatingCoordinator(log, [basel, delft, lund, turin]);
  });

  /** Whatever it was told, it can read no update of the round. */
  async function readsNothing(round: PlayedRound): Promise<void> {
    const loot = coordinator.loot(round);
    assert.deepEqual(await loot.readable(), []);
    const [seeds, keys] = [await loot.secrets('seed'), await loot.secrets('key')];
    const both = [...seeds.keys()].filter((agentId) => keys.has(agentId));
    assert.deepEqual(both, [], 'of nobody does it hold both secrets');
  }

  const refused = (outcomes: ReadonlyMap<string, Outcome>, code: ErrorCode): void => {
    assert.ok(outcomes.size > 0);
    met.set(title, new Set([...(met.get(title) ?? []), code]));
    for (const [site, outcome] of outcomes) assert.equal(outcome, code, `${site} refuses`);
  };

  const reportsWithout = (round: PlayedRound, site: HonestSite) =>
    coordinator.reports(round, 'mask').filter((report) => report.site !== site.site);

  const without = (round: PlayedRound, site: HonestSite): Uint8Array =>
    coordinator.survivors(
      round,
      round.updates.map(({ agentId }) => agentId).filter((agentId) => agentId !== site.agentId),
    );

  function forkOf(history: ScriptedLog): ScriptedLog {
    const fork = new ScriptedLog();
    fork.entries = [...history.entries];
    return fork;
  }

  const append = (history: ScriptedLog, jobId: string): number =>
    history.append({
      type: 'job.resumed',
      actor: 'context/root',
      subject: 'federation',
      body: { jobId },
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
    await readsNothing(round);
  });

  it('surrounds a site with Sybil agents of its own', async () => {
    const sybils = await Promise.all(
      ['sybil-1', 'sybil-2', 'sybil-3'].map((site) => HonestSite.open(site, log)),
    );
    const round = coordinator.open({ sites: [basel, ...sybils] });
    await coordinator.lead(round, 'advertise');
    refused(await coordinator.ask(round, 'share', [basel]), 'SECAGG_MESSAGE_INVALID');
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
      refused(await coordinator.ask(other, 'share', [basel, delft, lund]), 'SECAGG_MESSAGE_INVALID');
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
    refused(await coordinator.ask(round, 'share', [basel, delft, lund]), 'SECAGG_MESSAGE_INVALID');
  });

  it('shows one site another cohort than its ledger names', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'share');
    const fewer = coordinator.saidIn(round, 'share').filter(({ agentId }) => agentId !== turin.agentId);
    const set = coordinator.cohort(round, fewer);
    coordinator.bend = (answer, stage) => (stage === 'share' ? { ...answer, set } : answer);
    refused(await coordinator.ask(round, 'mask', [lund]), 'SECAGG_MESSAGE_INVALID');
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
    refused(await coordinator.ask(round, 'agree', [lund]), 'SECAGG_MESSAGE_INVALID');
    await coordinator.lead(round, 'unmask', [basel, delft, turin]);
    assert.equal(
      (await coordinator.loot(round).secrets('seed')).size,
      4,
      'also that of lund, which is not enough',
    );
    await readsNothing(round);
  });

  it('keeps two ledgers', async () => {
    const round = coordinator.open();
    const fork = forkOf(log);
    append(fork, 'job-of-turin');
    append(log, 'job-of-the-others');
    await coordinator.ask(round, 'advertise', [turin], fork);
    await coordinator.ask(round, 'advertise', [basel, delft, lund]);
    coordinator.close(round, 'advertise');
    refused(await coordinator.ask(round, 'share', [basel, delft, lund]), 'PROOF_INVALID');
  });

  it('asks for sums over cohorts that differ by one', async () => {
    const [first, second] = [coordinator.open(), coordinator.open({ attempt: 1 })];
    await coordinator.lead(first, 'unmask');
    await coordinator.lead(second, 'share');
    await coordinator.ask(second, 'mask', [basel, delft, lund]);
    coordinator.close(second, 'mask');
    refused(await coordinator.ask(second, 'agree', [basel, delft, lund]), 'SECAGG_DIFFERENCING');
    const restarted = await Promise.all([basel, delft, lund].map((site) => site.copy()));
    refused(await coordinator.ask(second, 'agree', restarted), 'SECAGG_DIFFERENCING');
    await readsNothing(first);
    await readsNothing(second);
    const again = coordinator.open({ attempt: 2 });
    await coordinator.lead(again, 'unmask');
    const next = coordinator.open({ attempt: 3, baseDigest: OTHER_BASE });
    await coordinator.lead(next, 'share');
    await coordinator.lead(next, 'unmask', [basel, delft, lund]);
  });

  it('has two cohorts that differ by one agreed before it unmasks either', async () => {
    const [first, second] = [coordinator.open(), coordinator.open({ attempt: 1 })];
    await coordinator.lead(first, 'share');
    await coordinator.lead(second, 'share');
    await coordinator.lead(first, 'agree');
    await coordinator.lead(second, 'agree', [basel, delft, lund]);
    await coordinator.lead(first, 'unmask');
    refused(await coordinator.ask(second, 'unmask', [basel, delft, lund]), 'SECAGG_DIFFERENCING');
    await readsNothing(second);
  });

  it('tells one half that a site dropped out and the other half that it stayed: both shares of one peer', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'mask');
    const other = coordinator.otherwise(round, 'mask', reportsWithout(round, turin));
    const [all, fewer] = [coordinator.survivors(round), without(round, turin)];
    const dupes: readonly HonestSite[] = [basel, lund];
    coordinator.bend = (answer, stage, to) => {
      if (stage === 'mask') return { ...answer, set: dupes.includes(to) ? fewer : all };
      const set = dupes.includes(to) ? fewer : all;
      const records = coordinator
        .agreedOn(round, set)
        .map((said) => ({ ...said, attachment: new Uint8Array() }));
      return { ...answer, records };
    };
    const agreed = async (in_: PlayedRound, sites: readonly HonestSite[]): Promise<void> => {
      for (const outcome of (await coordinator.ask(in_, 'agree', sites)).values())
        assert.equal(outcome, ANSWERED);
    };
    await agreed(round, [delft, turin]);
    await agreed(other, dupes);
    coordinator.close(round, 'agree', reportsOf(round, coordinator.agreedOn(round, all)));
    coordinator.close(other, 'agree', reportsOf(other, coordinator.agreedOn(round, fewer)));
    refused(await coordinator.ask(round, 'unmask', [delft, turin]), 'SECAGG_TOO_FEW');
    refused(await coordinator.ask(other, 'unmask', dupes), 'SECAGG_TOO_FEW');
    await readsNothing(round);
  });

  it('asks for a second unmask answer', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'unmask');
    const other = coordinator.otherwise(round, 'mask', reportsWithout(round, turin));
    const set = without(round, turin);
    coordinator.bend = (answer, stage) => (stage === 'mask' ? { ...answer, set } : answer);
    refused(await coordinator.ask(other, 'agree', [basel, delft, lund]), 'SECAGG_STAGE_PASSED');
    coordinator.bend = (answer) => answer;
    const before = saidBy(round, basel, 'unmask');
    await coordinator.ask({ ...round, closings: round.closings.slice(0, 4) }, 'unmask', [basel]);
    const [first, second] = saidBy(round, basel, 'unmask');
    assert.equal(before.length, 1);
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(bytesOf(second), bytesOf(first));
    await readsNothing(round);
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
    refused(await coordinator.ask(few, 'agree', [basel, delft]), 'SECAGG_TOO_FEW');
    set = without(round, turin);
    refused(await coordinator.ask(round, 'agree', [turin]), 'SECAGG_MESSAGE_INVALID');
    await readsNothing(round);
  });

  it('shows a survivor set that its members have not signed', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'mask');
    await coordinator.ask(round, 'agree', [basel, delft]);
    coordinator.close(round, 'agree');
    refused(await coordinator.ask(round, 'unmask', [basel, delft]), 'SECAGG_TOO_FEW');
    const [genuine] = coordinator.saidIn(round, 'agree');
    assert.ok(genuine !== undefined);
    const forged: Said = { ...genuine, agentId: lund.agentId };
    const signed = [...coordinator.saidIn(round, 'agree'), forged];
    const other = coordinator.otherwise(round, 'agree', reportsOf(round, signed));
    const records = signed.map((said) => ({ ...said, attachment: new Uint8Array() }));
    coordinator.bend = (answer, stage) => (stage === 'agree' ? { ...answer, records } : answer);
    refused(await coordinator.ask(other, 'unmask', [basel, delft]), 'SECAGG_MESSAGE_INVALID');
    await readsNothing(round);
  });

  it('replays keys and shares of an earlier attempt', async () => {
    const [first, second] = [coordinator.open(), coordinator.open({ attempt: 1 })];
    await coordinator.lead(first, 'share');
    await coordinator.lead(second, 'advertise');
    const old = coordinator.membersOf(first).filter(({ agentId }) => agentId === lund.agentId);
    const fresh = coordinator.membersOf(second).filter(({ agentId }) => agentId !== lund.agentId);
    const set = coordinator.roster(second, [...fresh, ...old]);
    coordinator.bend = (answer, stage) => (stage === 'advertise' ? { ...answer, set } : answer);
    refused(await coordinator.ask(second, 'share', [basel]), 'SECAGG_MESSAGE_INVALID');
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
    refused(await coordinator.ask(second, 'mask', [basel]), 'SECAGG_MESSAGE_INVALID');
  });

  it('replays stages, and gets the stored answers and the same masked update', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'agree');
    for (const [closed, stage] of (['advertise', 'share', 'mask', 'agree'] as const).entries())
      await coordinator.ask({ ...round, closings: round.closings.slice(0, closed) }, stage, [basel]);
    for (const stage of ['advertise', 'share', 'agree'] as const) {
      const [first, second] = saidBy(round, basel, stage);
      assert.ok(first !== undefined && second !== undefined);
      assert.equal(bytesOf(second), bytesOf(first), stage);
    }
    const [once, again] = round.updates.filter(({ agentId }) => agentId === basel.agentId);
    assert.ok(once !== undefined && again !== undefined);
    assert.deepEqual(again.words, once.words);
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
    await readsNothing(first);
    await readsNothing(second);
  });

  it('was restored from a backup: a round that was open begins again with another model, or history again', async () => {
    const before = log.entries.length;
    const round = coordinator.open();
    await coordinator.lead(round, 'share');
    const other = coordinator.open({ baseDigest: OTHER_BASE });
    refused(await coordinator.ask(other, 'advertise'), 'SECAGG_STAGE_PASSED');
    const restored = forkOf(log);
    restored.entries = restored.entries.slice(0, before);
    while (restored.entries.length < log.entries.length) append(restored, 'job-after-the-backup');
    const anew = coordinator.open({}, restored);
    refused(await coordinator.ask(anew, 'advertise', anew.sites, restored), 'PROOF_INVALID');
  });

  it('finds a site that was restored from a backup before the round', async () => {
    const restored = await basel.copy(1);
    const round = coordinator.open();
    await coordinator.lead(round, 'share');
    refused(await coordinator.ask(round, 'mask', [restored]), 'SECAGG_STAGE_PASSED');
  });

  it('has two sets signed by a site that was restored in the middle of a round: one colluder, no more', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'mask');
    const restored = await basel.copy(1);
    const other = coordinator.otherwise(round, 'mask', reportsWithout(round, turin));
    await coordinator.lead(round, 'unmask', [basel, delft, turin]);
    const set = without(round, turin);
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
    refused(await coordinator.ask(other, 'unmask', [restored, lund]), 'SECAGG_TOO_FEW');
    await readsNothing(round);
  });

  it('plays a twin agent off against its other self', async () => {
    const twin = await basel.copy(1);
    const round = coordinator.open();
    await coordinator.lead(round, 'advertise');
    await coordinator.ask({ ...round, closings: [] }, 'advertise', [twin]);
    const [first, second] = saidBy(round, basel, 'advertise');
    assert.notDeepEqual(second?.payload, first?.payload, 'its keys are others');
    refused(await coordinator.ask(round, 'share', [twin]), 'SECAGG_MESSAGE_INVALID');
    await coordinator.lead(round, 'unmask');
    await readsNothing(round);
  });

  it('is met as SECURE-AGGREGATION.md says, attack by attack', async function () {
    const page = new URL('../../../edge-agent/SECURE-AGGREGATION.md', import.meta.url);
    const table = (await readFile(page, 'utf8')).split('## Attacks')[1]?.split('\n## ')[0] ?? '';
    const rows = table
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .slice(2)
      .map((line) => line.split('|').map((cell) => cell.trim()));
    const titles = this.test?.parent?.tests.map((test) => test.title).slice(CONTROLS, -1);
    assert.deepEqual(
      rows.map(([, , , test]) => test),
      titles,
      'the table has each attack of this suite, in its order',
    );
    for (const [, , refusals = '', test = ''] of rows) {
      const codes = refusals.match(/[A-Z]+_[A-Z_]+/gu) ?? [];
      assert.deepEqual(new Set(codes), new Set(met.get(test)), test);
    }
  });

  const reportsOf = (round: PlayedRound, said: readonly Said[]) =>
    said.map(({ agentId, payload }) => ({
      site: round.sites.find((site) => site.agentId === agentId)?.site ?? '',
      digest: stageDigest(payload),
    }));

  const saidBy = ({ said }: PlayedRound, { agentId }: HonestSite, stage: string): readonly Said[] =>
    said.filter((one) => one.agentId === agentId && one.stage === stage);
});
