import assert from 'node:assert/strict';

import {
  canonicalize,
  JOB_CONDITION_REASONS,
  LIMITS,
  SITE_CONDITION_REASONS,
  type JobStatus,
  type SiteStatus,
} from '@tributary/proto';
import {
  jobStatusSchema,
  modelStatusSchema,
  siteStatusSchema,
} from '@tributary/proto/internal/documents/status.js';
import {
  findObject,
  listObjects,
  subjectOf,
  type Surroundings,
} from '@tributary/coordinator/internal/domain/objects.js';

import { digestNamed, FederationWorld, idOf, keyNamed } from '../../support/federation-world.js';

/** What the domain is told of connections: `lastSeenMs` now, unless given. */
function around(world: FederationWorld, lastSeenMs = world.now): Surroundings {
  const presence = new Map(
    Array.from(world.connected, (site) => [
      world.state.sites.get(site)?.agentId ?? '',
      { connectedAtMs: lastSeenMs, lastSeenMs, software: 'agent/1' },
    ]),
  );
  return { now: world.now, presence };
}

/** The status of a job, checked against its schema and closed set of reasons. */
function jobStatus(world: FederationWorld, name = 'loans'): JobStatus {
  const view = findObject(world.state, { kind: 'FederatedJob', name }, around(world));
  assert.ok(view?.object.kind === 'FederatedJob');
  const status = jobStatusSchema.parse(view.object.status);
  canonicalize(view.object);
  for (const { type, reason } of status.conditions) {
    assert.ok((JOB_CONDITION_REASONS[type] as readonly string[]).includes(reason), `${type}: ${reason}`);
  }
  return status;
}

function siteStatus(world: FederationWorld, name: string, surroundings = around(world)): SiteStatus {
  const view = findObject(world.state, { kind: 'Site', name }, surroundings);
  assert.ok(view?.object.kind === 'Site');
  const status = siteStatusSchema.parse(view.object.status);
  for (const { type, reason } of status.conditions) {
    assert.ok((SITE_CONDITION_REASONS[type] as readonly string[]).includes(reason), `${type}: ${reason}`);
  }
  return status;
}

type Condition = { readonly type: string; readonly status: string; readonly reason: string };
const short = (conditions: readonly Condition[]): string[] =>
  conditions.map(({ type, status, reason }) => `${type}=${status}:${reason}`);

describe('a FederatedJob as it is served', () => {
  it('waits in the queue', () => {
    const world = FederationWorld.create();
    world.submit('loans');
    assert.deepEqual(short(jobStatus(world).conditions), [
      'Accepted=True:DocumentValid',
      'Running=False:WaitingForTurn',
      'Suspended=False:NotSuspended',
      'Complete=False:NotFinished',
      'Failed=False:NotFinished',
    ]);
    assert.equal(jobStatus(world).phase, 'Queued');
    assert.deepEqual(jobStatus(world).sites, { selected: 0, reporting: 0, dropped: 0, rejected: 0 });
  });

  it('names the job that has the turn before it', () => {
    const world = FederationWorld.withSites('a', 'b', 'c');
    world.submit('loans');
    world.perform(world.until('open-round'));
    world.submit('cards');
    const running = jobStatus(world, 'cards').conditions.find(({ type }) => type === 'Running');
    assert.equal(running?.message, 'fj/loans has the turn; this job comes after it.');
  });

  it('shows its document with the settings of now', () => {
    const world = FederationWorld.create();
    world.submit('loans');
    world.run({ kind: 'configure-job', name: 'loans', activeDeadlineSeconds: 77 });
    const view = findObject(world.state, { kind: 'FederatedJob', name: 'loans' }, around(world));
    assert.ok(view?.object.kind === 'FederatedJob');
    assert.equal(view.object.spec.activeDeadlineSeconds, 77);
    assert.equal(view.object.metadata.generation, 2);
    assert.equal(view.object.metadata.creationTimestamp, '2026-01-01T00:00:00.000Z');
    assert.equal(view.seq, world.entries.length - 1);
  });

  it('counts the sites of the open round and the rounds that are done', () => {
    const world = FederationWorld.withSites('a', 'b', 'c', 'd');
    world.submit('loans');
    world.perform(world.until('open-round'));
    assert.equal(short(jobStatus(world).conditions)[1], 'Running=True:RoundOpen');
    const { jobId, round, attempt } = world.round('loans');
    world.run({
      kind: 'decline-round',
      jobId,
      round,
      attempt,
      agentId: idOf('agt', 'a'),
      code: 'POLICY_REFUSED',
      detail: '',
    });
    world.accept('loans', 'b');
    assert.deepEqual(jobStatus(world).sites, { selected: 4, reporting: 1, dropped: 1, rejected: 0 });
    world.accept('loans', 'c');
    world.accept('loans', 'd');
    world.perform(world.until('commit-round'));
    const status = jobStatus(world);
    assert.equal(short(status.conditions)[1], 'Running=True:WaitingForSites');
    assert.deepEqual([status.currentRound, status.rounds, status.progressPercentage], [1, 2, 50]);
    assert.deepEqual(status.metrics, [
      { name: 'logLoss', value: '0.25' },
      { name: 'loss', value: '0.5' },
    ]);
    assert.deepEqual(status.sites, { selected: 4, reporting: 3, dropped: 1, rejected: 0 });
  });

  it('says for which sites it waits', () => {
    const world = FederationWorld.withSites('a', 'b', 'c');
    world.submit('loans', { minSites: 3, siteSelector: { matchLabels: {} } });
    const message = () => jobStatus(world).conditions.find(({ type }) => type === 'Running')?.message;
    world.connected.delete('b');
    world.perform(world.until('start-job'));
    assert.equal(message(), 'Waits for sites: a round needs 3, ready are 2; b is not connected.');
    world.connected.delete('c');
    world.run({ kind: 'revoke-site', site: 'c', reason: '' });
    assert.equal(
      message(),
      'Waits for sites: a round needs 3, ready is 1; b is not connected; c is revoked.',
    );
  });

  it('completes with a reference to its model', () => {
    const world = FederationWorld.withSites('a', 'b');
    world.submit('loans', { rounds: 1 });
    world.perform(world.until('open-round'));
    world.accept('loans', 'a');
    world.accept('loans', 'b');
    world.perform(world.until('complete-job'));
    const status = jobStatus(world);
    assert.deepEqual(status.modelRef, { name: 'loans', version: 1, digest: digestNamed('manifest') });
    assert.equal(status.progressPercentage, 100);
    assert.deepEqual(short(status.conditions).slice(1), [
      'Running=False:Finished',
      'Suspended=False:NotSuspended',
      'Complete=True:AllRoundsCommitted',
      'Failed=False:Complete',
    ]);
    assert.ok(status.completionTime);
  });

  it('says why it failed', () => {
    const ends = {
      JOB_CANCELLED: 'Cancelled',
      JOB_DEADLINE: 'DeadlineExceeded',
      JOB_RETRIES_EXHAUSTED: 'RetriesExhausted',
      INTERNAL: 'InternalError',
    };
    for (const [code, reason] of Object.entries(ends)) {
      const world = FederationWorld.create();
      world.submit('loans');
      world.run({ kind: 'fail-job', jobId: idOf('job', 'loans'), code, detail: 'because' });
      const status = jobStatus(world);
      assert.deepEqual(short(status.conditions).slice(3), ['Complete=False:Failed', `Failed=True:${reason}`]);
      assert.equal(status.conditions[4]?.message, `${code}: because`);
      assert.deepEqual(status.lastFailureInfo, {
        code,
        detail: 'because',
        round: 1,
        time: status.completionTime,
      });
    }
  });

  it('says that it is suspended, and that the open round still ends', () => {
    const world = FederationWorld.withSites('a', 'b');
    world.submit('loans');
    world.perform(world.until('open-round'));
    world.run({ kind: 'suspend-job', name: 'loans', reason: 'night' });
    const [, running, suspended] = jobStatus(world).conditions;
    assert.deepEqual([running?.status, running?.reason, suspended?.status], ['False', 'Suspended', 'True']);
    assert.match(running?.message ?? '', /open round ends/);
  });

  it('changes the time of a condition only with its status', () => {
    const world = FederationWorld.withSites('a', 'b');
    world.submit('loans');
    const submitted = world.now;
    world.now += 1_000;
    world.perform(world.until('start-job'));
    const started = world.now;
    world.now += 1_000;
    world.perform(world.until('open-round'));
    const [accepted, running] = jobStatus(world).conditions;
    assert.equal(accepted?.lastTransitionTime, new Date(submitted).toISOString());
    assert.equal(running?.lastTransitionTime, new Date(started).toISOString());
    assert.equal(running.reason, 'RoundOpen');
  });
});

describe('a Site as it is served', () => {
  const phase = (world: FederationWorld, site = 'west', surroundings?: Surroundings): string =>
    siteStatus(world, site, surroundings).phase;

  it('goes from the invitation to Ready', () => {
    const world = FederationWorld.create();
    const tokenId = world.invite('west', { approve: false });
    assert.equal(phase(world), 'Invited');
    assert.deepEqual(short(siteStatus(world, 'west').conditions), [
      'Ready=False:NotEnrolled',
      'Enrolled=False:TokenOutstanding',
      'Approved=False:WaitingForApproval',
      'Connected=False:NoStream',
    ]);
    world.run({
      kind: 'enrol-agent',
      tokenId,
      identityKey: keyNamed('i'),
      keyDigest: digestNamed('t'),
      agentId: idOf('agt', 'west'),
    });
    assert.equal(phase(world), 'Pending');
    assert.equal(short(siteStatus(world, 'west').conditions)[0], 'Ready=False:NotApproved');
    world.run({ kind: 'approve-site', site: 'west' });
    assert.equal(phase(world), 'Offline');
    assert.equal(short(siteStatus(world, 'west').conditions)[0], 'Ready=False:NotConnected');
    world.connected.add('west');
    const status = siteStatus(world, 'west');
    assert.deepEqual(short(status.conditions), [
      'Ready=True:AllConditionsMet',
      'Enrolled=True:Joined',
      'Approved=True:ApprovedByOperator',
      'Connected=True:StreamOpen',
    ]);
    assert.deepEqual(
      [status.phase, status.agentId, status.agentVersion],
      ['Ready', idOf('agt', 'west'), 'agent/1'],
    );
  });

  it('is offline when its agent is silent', () => {
    const world = FederationWorld.withSites('west');
    const before = around(world);
    world.now += LIMITS.heartbeatTimeoutMs;
    const surroundings = { ...before, now: world.now };
    assert.equal(phase(world, 'west', surroundings), 'Offline');
    assert.equal(
      short(siteStatus(world, 'west', surroundings).conditions)[3],
      'Connected=False:HeartbeatMissed',
    );
  });

  it('shows an invitation that has expired', () => {
    const world = FederationWorld.create();
    world.invite('west');
    world.now += LIMITS.joinTokenDefaultTtlMs;
    assert.equal(short(siteStatus(world, 'west').conditions)[1], 'Enrolled=False:TokenExpired');
  });

  it('is revoked until it is invited again', () => {
    const world = FederationWorld.withSites('west');
    assert.equal(short(siteStatus(world, 'west').conditions)[2], 'Approved=True:ApprovedByToken');
    world.run({ kind: 'revoke-site', site: 'west', reason: 'stolen' });
    const status = siteStatus(world, 'west');
    assert.deepEqual(short(status.conditions), [
      'Ready=False:Revoked',
      'Enrolled=False:Revoked',
      'Approved=False:Revoked',
      'Connected=False:NoStream',
    ]);
    assert.equal(status.phase, 'Revoked');
    assert.equal(status.conditions[0]?.message, 'stolen');
    world.invite('west', { token: 'second' });
    assert.equal(phase(world), 'Invited');
  });

  it('shows labels and the end of its certificate', () => {
    const world = FederationWorld.create();
    world.join('west', { region: 'west' });
    const view = findObject(world.state, { kind: 'Site', name: 'west' }, around(world));
    assert.deepEqual(view?.object.metadata.labels, { region: 'west' });
    assert.equal(
      siteStatus(world, 'west').certificateExpiryTime,
      new Date(world.now + LIMITS.certificateTtlMs).toISOString(),
    );
  });
});

describe('objects', () => {
  it('are listed by kind, in the order of their creation', () => {
    const world = FederationWorld.withSites('west', 'east');
    world.submit('second', { rounds: 1 });
    world.submit('first', { rounds: 1 });
    world.perform(world.until('open-round'));
    world.accept('second', 'west');
    world.accept('second', 'east');
    world.perform(world.until('complete-job'));
    const names = (kind: 'FederatedJob' | 'Site' | 'Model'): string[] =>
      listObjects(world.state, kind, around(world)).map(({ object }) => object.metadata.name);
    assert.deepEqual(names('FederatedJob'), ['second', 'first']);
    assert.deepEqual(names('Site'), ['west', 'east']);
    assert.deepEqual(names('Model'), ['loans']);
    const [model] = listObjects(world.state, 'Model', around(world));
    assert.ok(model?.object.kind === 'Model');
    const status = modelStatusSchema.parse(model.object.status);
    assert.deepEqual([status.latestVersion, status.versions[0]?.jobName], [1, 'second']);
  });

  it('that do not exist are undefined', () => {
    const world = FederationWorld.create();
    for (const kind of ['FederatedJob', 'Site', 'Model'] as const) {
      assert.equal(findObject(world.state, { kind, name: 'nothing' }, around(world)), undefined);
    }
  });

  it('are what entries are about', () => {
    const world = FederationWorld.withSites('west', 'east');
    world.submit('loans', { rounds: 1 });
    world.perform(world.until('open-round'));
    world.accept('loans', 'west');
    world.accept('loans', 'east');
    world.perform(world.until('complete-job'));
    const [deleted] = world.run({ kind: 'delete-job', name: 'loans' });
    const subject = (type: string): string => {
      const entry = world.entries.find((one) => one.type === type);
      const name = entry === undefined ? undefined : subjectOf(world.state, entry);
      return name === undefined ? 'none' : `${name.kind}/${name.name}`;
    };
    assert.equal(deleted === undefined ? undefined : subjectOf(world.state, deleted)?.name, 'loans');
    assert.equal(subject('federation.created'), 'none');
    assert.equal(subject('token.created'), 'Site/west');
    assert.equal(subject('agent.approved'), 'Site/west');
    assert.equal(subject('job.submitted'), 'FederatedJob/loans');
    assert.equal(subject('model.registered'), 'Model/loans');
    // After its deletion, the id of a job leads to no name any more.
    assert.equal(subject('update.accepted'), 'none');
  });
});
