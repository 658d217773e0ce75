import assert from 'node:assert/strict';

import {
  canonicalText,
  decodeEntry,
  EMPTY_LAYOUT,
  encodeBase64,
  layoutDigest,
  parseFederatedJob,
  requirePlan,
  ringLength,
  roundVectors,
  SECURE_STAGES,
  SECURE_WIRE_VERSION,
  tailLength,
  type Digest,
  type EntryBody,
  type JsonObject,
  type NewEntry,
} from '@tributary/proto';

import { ANSWERED, type CheatingCoordinator, type PlayedRound } from '../support/cheating-coordinator.js';
import { cheatedFederation, OTHER_BASE, readsNothing, Refusals } from '../support/cheated-federation.js';
import type { HonestSite } from '../support/honest-site.js';
import { jobDocument } from '../support/job-document.js';
import type { ScriptedLog, ScriptedRound } from '../support/scripted-log.js';

const THIRD_BASE: Digest = `sha256:${'7'.repeat(64)}`;

/** Four sites of which one may collude and one drop out: t = 3. */
describe('a coordinator that bends its orders', () => {
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

  it('measures several models over sites that differ by one', async () => {
    const all = [basel, delft, lund, turin];
    const first = measurement(log, all, OTHER_BASE, 0);
    await coordinator.lead(first, 'unmask');
    const nearly = measurement(log, all, THIRD_BASE, 1);
    await coordinator.lead(nearly, 'share');
    await coordinator.ask(nearly, 'mask', [basel, delft, lund]);
    coordinator.close(nearly, 'mask');
    refusals.require(await coordinator.ask(nearly, 'agree', [basel, delft, lund]), 'SECAGG_DIFFERENCING');
    const again = measurement(log, all, THIRD_BASE, 2);
    await coordinator.lead(again, 'unmask');
  });

  it('gives a job another number, to begin again with fewer sites', async () => {
    const first = coordinator.open();
    await coordinator.lead(first, 'unmask');
    const renamed = renumbered(log, first, `job-${'b'.repeat(32)}`);
    await coordinator.lead(renamed, 'share');
    await coordinator.ask(renamed, 'mask', [basel, delft, lund]);
    coordinator.close(renamed, 'mask');
    refusals.require(await coordinator.ask(renamed, 'agree', [basel, delft, lund]), 'SECAGG_DIFFERENCING');
    await readsNothing(coordinator, renamed);
  });

  it('changes what the author does not sign, to begin again with fewer sites', async () => {
    const first = coordinator.open();
    await coordinator.lead(first, 'unmask');
    const relabelled = renumbered(log, first, `job-${'b'.repeat(32)}`, (document) => ({
      ...document,
      metadata: { ...(document['metadata'] as JsonObject), labels: { purpose: 'another' } },
      spec: { ...(document['spec'] as JsonObject), ttlSecondsAfterFinished: 1 },
    }));
    await coordinator.lead(relabelled, 'share');
    await coordinator.ask(relabelled, 'mask', [basel, delft, lund]);
    coordinator.close(relabelled, 'mask');
    refusals.require(await coordinator.ask(relabelled, 'agree', [basel, delft, lund]), 'SECAGG_DIFFERENCING');
    await readsNothing(coordinator, relabelled);
  });

  it('opens a round that was settled once more, with fewer sites', async () => {
    const first = coordinator.open();
    await coordinator.lead(first, 'unmask');
    for (const site of first.sites) await site.settle(first.ref);
    const again = { ...first, closings: [], said: [], updates: [] };
    await coordinator.lead(again, 'share');
    await coordinator.ask(again, 'mask', [basel, delft, lund]);
    coordinator.close(again, 'mask');
    refusals.require(await coordinator.ask(again, 'agree', [basel, delft, lund]), 'SECAGG_DIFFERENCING');
    const [once] = coordinator.saidIn(first, 'advertise');
    const [anew] = coordinator.saidIn(again, 'advertise');
    assert.notDeepEqual(anew?.payload, once?.payload, 'keys are fresh');
    await readsNothing(coordinator, again);
  });

  it('asks for shares once the round is settled', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'agree');
    await basel.settle(round.ref);
    refusals.require(await coordinator.ask(round, 'unmask', [basel]), 'SECAGG_STAGE_PASSED');
    assert.equal(coordinator.saidIn(round, 'unmask').length, 0);
  });

  it('opens one attempt twice, with another cohort', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'share');
    const other = coordinator.open({ sites: [basel, delft, lund] });
    await coordinator.ask(other, 'advertise');
    coordinator.close(other, 'advertise');
    refusals.require(await coordinator.ask(other, 'share'), 'SECAGG_STAGE_PASSED');
    await readsNothing(coordinator, round);
  });

  it('unmasks an attempt, and has the one before it signed afterwards', async () => {
    const [first, second] = [coordinator.open(), coordinator.open({ attempt: 1 })];
    await coordinator.lead(first, 'mask');
    await coordinator.lead(second, 'share');
    await coordinator.lead(second, 'agree', [basel, delft, lund]);
    await coordinator.lead(second, 'unmask', [basel, delft, lund]);
    const older = await coordinator.ask(first, 'agree', [basel, delft, lund]);
    refusals.require(older, 'SECAGG_STAGE_PASSED');
    await readsNothing(coordinator, first);
  });

  it('lets sites be late, another one in each stage', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'advertise');
    await coordinator.lead(round, 'share', [basel, delft, lund]);
    await coordinator.ask(round, 'mask', [basel, delft]);
    coordinator.close(round, 'mask');
    refusals.require(await coordinator.ask(round, 'agree', [basel, delft]), 'SECAGG_TOO_FEW');
    await readsNothing(coordinator, round);
  });

  it('leaves a stage out, or closes them in another order', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'mask');
    const [advertised = 0, shared = 0, masked = 0] = round.closings;
    for (const closings of [
      [advertised, masked],
      [shared, advertised, masked],
      [advertised, shared, masked, masked],
    ]) {
      const other = { ...round, closings };
      refusals.require(await coordinator.ask(other, 'agree', [basel]), 'PROOF_INVALID');
    }
  });

  it('calls the round of a secure job a plain one', async () => {
    const round = coordinator.open();
    const plain = altered(log, round, (body) => ({
      ...body,
      mode: 'plain',
      stages: [{ name: 'collect', deadlineMs: 60_000, minimum: 1 }],
    }));
    for (const outcome of (await coordinator.ask(plain, 'advertise')).values())
      assert.equal(outcome, ANSWERED);
    coordinator.close(plain, 'advertise');
    refusals.require(await coordinator.ask(plain, 'share', [basel]), 'PROOF_INVALID');
    assert.deepEqual(plain.updates, []);
  });

  it('changes the signed document between two attempts', async () => {
    const round = coordinator.open();
    await coordinator.lead(round, 'share');
    const [submitted = 0] = round.ref.seqs;
    const entry = decodeEntry(log.entries[submitted] ?? new Uint8Array());
    assert.equal(entry.type, 'job.submitted');
    const body = entry.body;
    const document = body.document.replace('"clipNorm":1', '"clipNorm":1000');
    assert.notEqual(document, body.document);
    const changed = log.append({ ...place(round), type: 'job.submitted', body: { ...body, document } });
    const next = coordinator.open({ attempt: 1 });
    const other = { ...next, ref: { ...next.ref, seqs: [changed, ...next.ref.seqs.slice(1)] } };
    refusals.require(await coordinator.ask(other, 'advertise'), 'SIGNATURE_INVALID');
  });

  it('is met as SECURE-AGGREGATION.md says, attack by attack', function () {
    const titles = this.test?.parent?.tests.map((test) => test.title) ?? [];
    return refusals.requirePage('With orders', titles.slice(0, -1));
  });
});

const place = ({ ref }: PlayedRound): Pick<NewEntry, 'actor' | 'subject'> => ({
  actor: 'coordinator',
  subject: `job/${ref.jobId}`,
});

/** The same round under another entry that opens it. */
function altered(
  log: ScriptedLog,
  round: PlayedRound,
  alter: (body: EntryBody<'round.opened'>) => EntryBody<'round.opened'>,
): PlayedRound {
  const seqs = [...round.ref.seqs];
  const entry = decodeEntry(log.entries[seqs.pop() ?? 0] ?? new Uint8Array());
  const body = alter(entry.body as EntryBody<'round.opened'>);
  const opened = log.append({ ...place(round), type: 'round.opened', body });
  return { ...round, ref: { ...round.ref, seqs: [...seqs, opened] }, closings: [], said: [], updates: [] };
}

/** The same job and round, but for the number that the coordinator gives the job and what it makes of the document. */
function renumbered(
  log: ScriptedLog,
  round: PlayedRound,
  jobId: string,
  alter = (document: JsonObject): JsonObject => document,
): PlayedRound {
  const seqs = round.ref.seqs.map((seq) => {
    const { type, actor, body } = decodeEntry(log.entries[seq] ?? new Uint8Array());
    const said =
      type === 'job.submitted'
        ? { document: canonicalText(alter(JSON.parse(body.document) as JsonObject)) }
        : {};
    return log.append({
      type,
      actor,
      subject: `job/${jobId}`,
      body: { ...body, ...said, jobId },
    } as NewEntry);
  });
  const expected = { ...round.expected, round: { ...round.expected.round, jobId } };
  return { ...round, ref: { ...round.ref, jobId, seqs }, expected, closings: [], said: [], updates: [] };
}

/** An evaluation of whatever model, as the job asks for one at its end. */
function measurement(
  log: ScriptedLog,
  sites: readonly HonestSite[],
  baseDigest: Digest,
  attempt: number,
): PlayedRound {
  const spec = {
    ...{ rounds: 2, minSites: 3, update: { clipNorm: 1 }, privacy: {} },
    evaluation: { metrics: ['auc' as const] },
  };
  const document = parseFederatedJob({ ...jobDocument(), spec: { ...jobDocument().spec, ...spec } });
  const cohort = sites.map(({ site, agentId }) => ({ site, agentId }));
  const { tail } = roundVectors(
    document.spec,
    cohort.map(({ site }) => site),
    'Evaluation',
  );
  const alter = (body: EntryBody<'round.opened'>): EntryBody<'round.opened'> => ({
    ...body,
    kind: 'Evaluation',
    mode: 'secure',
    stages: SECURE_STAGES.map((name) => ({ name, deadlineMs: 60_000, minimum: 3 })),
    vectorLength: ringLength({ parameters: 0, tail: tailLength(tail) }),
    layoutDigest: layoutDigest(EMPTY_LAYOUT),
    baseDigest,
    selectionSeed: encodeBase64(new Uint8Array(32)),
  });
  const ref: ScriptedRound = log.openRound({ job: 'measured', round: 3, attempt, spec, cohort, alter });
  const { jobId, round } = ref;
  const expected = {
    round: { wire: SECURE_WIRE_VERSION, logId: log.logId, jobId, round, attempt },
    baseDigest,
    plan: requirePlan({ ...document.spec.privacy, agents: sites.length, minimum: 3 }),
    isMember: () => true,
  };
  return { ref, sites, expected, closings: [], said: [], updates: [] };
}
