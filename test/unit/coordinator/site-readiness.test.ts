import assert from 'node:assert/strict';

import { encodeBase64, LIMITS } from '@tributary/proto';
import type { DecideJob, WaitRound } from '@tributary/coordinator/internal/domain/command.js';
import { findObject } from '@tributary/coordinator/internal/domain/objects.js';
import { decodeSnapshot, encodeSnapshot } from '@tributary/coordinator/internal/domain/snapshot.js';

import { FederationWorld, idOf, keyNamed } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

const SITES = ['east', 'north', 'west'] as const;

/** A world in which the first round of a job that needs `minSites` sites is open. */
function opened(minSites: number): FederationWorld {
  const world = FederationWorld.withSites(...SITES);
  world.submit('loans', { minSites, evaluation: { metrics: [] } });
  world.perform(world.until('open-round'));
  return world;
}

function waits(world: FederationWorld, site: string, change: Partial<WaitRound> = {}): void {
  const { jobId, round, attempt } = world.round('loans');
  const agentId = idOf('agt', site);
  const why = { reason: 'Approval', detail: 'not approved', waitMs: 0 } as const;
  world.run({ kind: 'wait-round', jobId, round, attempt, agentId, ...why, ...change }, `agent/${agentId}`);
}

function lacks(world: FederationWorld, site: string): void {
  const { jobId, round, attempt } = world.round('loans');
  const agentId = idOf('agt', site);
  const why = { code: 'DATASET_UNKNOWN', detail: 'the site declares no dataset loans' } as const;
  world.run({ kind: 'decline-round', jobId, round, attempt, agentId, ...why }, `agent/${agentId}`);
}

function decides(world: FederationWorld, site: string, change: Partial<DecideJob> = {}): number {
  const agentId = idOf('agt', site);
  const { jobId, documentDigest } = world.job('loans');
  const given = {
    kind: 'decide-job',
    jobId,
    agentId,
    decision: 'Approved',
    jobDigest: documentDigest ?? assert.fail(),
    approverName: site,
    approverKey: keyNamed(site),
    decidedAt: '2026-01-01T00:00:00.000Z',
    signature: encodeBase64(new Uint8Array(64)),
    siteSignature: encodeBase64(new Uint8Array(64)),
  } as const;
  return world.run({ ...given, ...change }, `agent/${agentId}`).length;
}

function running(world: FederationWorld): { readonly reason: string; readonly message: string } {
  const agents = SITES.map((site) => [idOf('agt', site), {}] as const);
  const surroundings = { now: world.now, presence: new Map(agents) as never };
  const found = findObject(world.state, { kind: 'FederatedJob', name: 'loans' }, surroundings);
  assert.ok(found?.object.kind === 'FederatedJob');
  const condition = found.object.status.conditions.find(({ type }) => type === 'Running');
  return condition ?? assert.fail();
}

describe('sites that are not ready for a job', () => {
  it('are left out of its rounds until they approve it, and cost it no retry', () => {
    const world = opened(3);
    waits(world, 'north');
    const failed = world.next();
    assert.equal(failed.kind, 'fail-round');
    world.perform(failed);
    assert.equal(world.job('loans').failedAttempts, 0);
    assert.equal(world.next().kind, 'wait');
    const { reason, message } = running(world);
    assert.equal(reason, 'WaitingForApproval');
    assert.match(message, /needs 3, ready are 2; north has not approved the job yet/);
    assert.equal(decides(world, 'north'), 1);
    assert.equal(decides(world, 'north'), 0, 'the same again');
    assert.deepEqual(world.perform(world.next())[0]?.type, 'round.opened');
    assert.deepEqual([world.round('loans').attempt, world.round('loans').cohort.size], [1, 3]);
  });

  it('wait for approvals more often than a job has retries', () => {
    const world = opened(3);
    for (let turn = 0; turn < LIMITS.roundRetries + 3; turn += 1) {
      waits(world, 'north');
      world.perform(world.next());
      decides(world, 'north', { decidedAt: new Date(world.now + turn).toISOString() });
      world.perform(world.until('open-round'));
      assert.equal(world.round('loans').attempt, turn + 1);
    }
    for (const site of SITES) world.accept('loans', site);
    world.perform(world.until('commit-round'));
    assert.deepEqual([world.job('loans').committedRounds, world.job('loans').failedAttempts], [1, 0]);
    assert.deepEqual(world.replayed(), world.state);
    assert.deepEqual(decodeSnapshot(encodeSnapshot(world.state)), world.state);
  });

  it('come back by themselves where they wait for their schedule, within the limits', () => {
    const world = opened(3);
    waits(world, 'north', { reason: 'Schedule', waitMs: 3_600_000 });
    world.perform(world.next());
    assert.deepEqual(world.next(), { kind: 'wait', untilMs: world.now + 3_600_000 });
    assert.equal(running(world).reason, 'WaitingForSchedule');
    world.now += 3_600_000;
    assert.equal(world.next().kind, 'open-round');
    world.perform(world.next());
    waits(world, 'north', { reason: 'Schedule', waitMs: 0 });
    world.perform(world.next());
    assert.deepEqual(world.next(), { kind: 'wait', untilMs: world.now + LIMITS.siteWaitMinMs });
  });

  it('wait for longer where attempt after attempt fails for them: nobody fills the ledger', () => {
    const world = opened(3);
    const waited: number[] = [];
    for (let attempt = 0; attempt < 32; attempt += 1) {
      waits(world, 'north', { reason: 'Schedule', waitMs: 1 });
      world.perform(world.next());
      const next = world.next();
      assert.equal(next.kind, 'wait');
      waited.push((next.untilMs ?? 0) - world.now);
      world.now = next.untilMs ?? 0;
      world.perform(world.until('open-round'));
    }
    assert.deepEqual(waited.slice(0, 5), [5_000, 5_000, 5_000, 5_000, 10_000]);
    assert.equal(waited.at(-1), LIMITS.siteWaitRepeatedMs);
  });

  it('do not stop rounds that have enough without them', () => {
    const world = opened(2);
    waits(world, 'north');
    for (const site of ['east', 'west']) world.accept('loans', site);
    world.perform(world.until('commit-round'));
    assert.equal(world.job('loans').committedRounds, 1);
    world.perform(world.until('open-round'));
    assert.deepEqual([...world.round('loans').cohort.keys()], ['east', 'west']);
  });

  it('do not excuse an attempt that others failed', () => {
    const world = opened(3);
    waits(world, 'north');
    const { jobId, round, attempt } = world.round('loans');
    const agentId = idOf('agt', 'east');
    world.run({
      ...{ kind: 'decline-round', jobId, round, attempt, agentId },
      ...{ code: 'TRAINING_FAILED', detail: '' },
    });
    world.perform(world.next());
    assert.equal(world.job('loans').failedAttempts, 1);
  });

  it('are left out for a while where they lack the dataset, and cost no retry either', () => {
    const world = opened(3);
    lacks(world, 'north');
    world.perform(world.next());
    assert.equal(world.job('loans').failedAttempts, 0);
    assert.match(running(world).message, /north lacks the dataset: the site declares no dataset loans/);
    assert.deepEqual(world.next(), { kind: 'wait', untilMs: world.now + LIMITS.siteDatasetMs });
    world.now += LIMITS.siteDatasetMs;
    assert.equal(world.next().kind, 'open-round');
  });

  it('are asked again as soon as their agent was started anew', () => {
    const world = opened(3);
    for (let turn = 1; turn <= LIMITS.roundRetries + 2; turn += 1) {
      lacks(world, 'north');
      world.perform(world.next());
      assert.equal(world.next().kind, 'wait');
      const agentId = idOf('agt', 'north');
      world.run({ kind: 'start-agent', agentId, sessionEpoch: BigInt(turn) }, `agent/${agentId}`);
      world.perform(world.next());
      assert.deepEqual([world.round('loans').attempt, world.round('loans').cohort.size], [turn, 3]);
    }
    assert.deepEqual(world.replayed(), world.state);
    assert.deepEqual(decodeSnapshot(encodeSnapshot(world.state)), world.state);
  });

  it('reject a job for good or until they approve it, and for its document only', () => {
    const world = opened(2);
    assert.equal(decides(world, 'north', { decision: 'Rejected' }), 1);
    for (const site of ['east', 'west', 'north']) world.accept('loans', site);
    world.perform(world.until('commit-round'));
    world.perform(world.until('open-round'));
    assert.equal(world.round('loans').cohort.has('north'), false);
    const other = { jobDigest: `sha256:${'0'.repeat(64)}` } as const;
    assert.throws(() => decides(world, 'north', other), refusal('CONFLICT', /another document/));
    assert.throws(() => decides(world, 'north', { jobId: idOf('job', 'x') }), refusal('NOT_FOUND'));
    for (let change = 1; change < LIMITS.siteDecisions; change += 1)
      decides(world, 'north', { decidedAt: new Date(world.now + change).toISOString() });
    const late = { decidedAt: '2026-02-01T00:00:00.000Z' };
    assert.throws(() => decides(world, 'north', late), refusal('LIMIT_EXCEEDED'));
  });
});
