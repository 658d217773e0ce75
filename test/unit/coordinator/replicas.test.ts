import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';
import { siteStatusSchema, type SiteStatus } from '@tributary/proto/internal/documents/status.js';
import { mayAgentRead, requirePermission } from '@tributary/coordinator/internal/domain/authorisation.js';
import { activeAgent, activeIdentities } from '@tributary/coordinator/internal/domain/enrolment.js';
import { findObject } from '@tributary/coordinator/internal/domain/objects.js';
import {
  connectedSites,
  eligibleMembers,
  shortageOf,
} from '@tributary/coordinator/internal/domain/selection.js';
import { decodeSnapshot, encodeSnapshot } from '@tributary/coordinator/internal/domain/snapshot.js';

import { digestNamed, FederationWorld, idOf, keyNamed } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

const invite = (world: FederationWorld, name: string, change: object = {}) =>
  world.run({
    kind: 'create-token',
    tokenId: idOf('tok', name),
    site: 'west',
    identity: 'Serving',
    labels: {},
    key: keyNamed(`token ${name}`),
    ttlMs: 1_000,
    approve: true,
    ...change,
  });

const enrol = (world: FederationWorld, name: string) =>
  world.run(
    {
      kind: 'enrol-agent',
      tokenId: idOf('tok', name),
      identityKey: keyNamed(`identity ${name}`),
      keyDigest: digestNamed(`tls ${name}`),
      agentId: idOf('agt', name),
    },
    `agent/${idOf('agt', name)}`,
  );

function withReplicas(...names: string[]): FederationWorld {
  const world = FederationWorld.withSites('west', 'east');
  for (const name of names) {
    invite(world, name);
    enrol(world, name);
  }
  return world;
}

const ids = (world: FederationWorld): string[] =>
  activeIdentities(world.state, 'west').map(({ agentId }) => agentId);

const OPEN = {
  siteSelector: { matchLabels: {} },
  minSites: 2,
  cohortSize: 0,
  overSelection: 0,
  privacy: { secureAggregation: false },
};

function statusOf(world: FederationWorld, connected: readonly string[]): SiteStatus {
  const stream = { connectedAtMs: world.now, lastSeenMs: world.now, software: 'agent/1' };
  const presence = new Map(connected.map((name) => [idOf('agt', name), stream]));
  const view = findObject(world.state, { kind: 'Site', name: 'west' }, { now: world.now, presence });
  assert.ok(view?.object.kind === 'Site');
  return siteStatusSchema.parse(view.object.status);
}

describe('replicas of a site', () => {
  it('join beside its agent, as many as are invited, and the entries say what they are', () => {
    const world = FederationWorld.withSites('west', 'east');
    const [created] = invite(world, 'r1');
    invite(world, 'r2');
    const [enrolled, approved] = enrol(world, 'r1');
    enrol(world, 'r2');
    assert.ok(created?.type === 'token.created' && enrolled?.type === 'agent.enrolled');
    assert.deepEqual(
      [created.body.kind, enrolled.body.kind, approved?.type],
      ['Serving', 'Serving', 'agent.approved'],
    );
    assert.deepEqual(
      ids(world),
      ['west', 'r1', 'r2'].map((name) => idOf('agt', name)),
    );
    assert.equal(activeAgent(world.state, 'west')?.agentId, idOf('agt', 'west'));
    assert.deepEqual(world.replayed(), world.state);
    assert.deepEqual(decodeSnapshot(encodeSnapshot(world.state)), world.state);
  });

  it('say nothing of a kind in the entries of whoever trains: old ledgers read the same', () => {
    const world = FederationWorld.withSites('west');
    assert.ok(world.entries.every(({ body }) => !('kind' in body)));
  });

  it('belong to a site that is known, and have its labels', () => {
    const world = FederationWorld.create();
    assert.throws(() => invite(world, 'r1'), refusal('NOT_FOUND', /no Site "west"/));
    world.join('west', { region: 'w' });
    assert.throws(() => invite(world, 'r1', { labels: { a: 'b' } }), refusal('INVALID_ARGUMENT', /^labels/));
    invite(world, 'r1');
    assert.deepEqual(world.state.sites.get('west')?.labels, { region: 'w' });
    assert.equal(world.state.sites.get('west')?.tokenId, idOf('tok', 'west'));
  });

  it('are limited, invitations that still stand among them', () => {
    const world = withReplicas('first');
    for (let index = 1; index < LIMITS.replicasPerSite; index += 1) invite(world, `r${String(index)}`);
    assert.throws(() => invite(world, 'more'), refusal('LIMIT_EXCEEDED', /at most 64 replicas/));
    world.now += 1_000;
    const before = world.state.tokens.size;
    invite(world, 'more');
    // Those that have expired are forgotten: a site that invites for ever costs no memory.
    assert.equal(world.state.tokens.size, before - (LIMITS.replicasPerSite - 1) + 1);
  });

  it('do not end the invitation of the agent, nor does it end theirs', () => {
    const world = FederationWorld.create();
    world.invite('west', { token: 'agent' });
    invite(world, 'r1');
    world.invite('west', { token: 'again' });
    assert.deepEqual([...world.state.tokens.keys()].sort(), [idOf('tok', 'again'), idOf('tok', 'r1')].sort());
  });

  it('are in no cohort: only the agent that trains makes its site ready', () => {
    const world = withReplicas('r1');
    const agents = (...names: string[]) => names.map((name) => idOf('agt', name));
    assert.deepEqual([...connectedSites(world.state, agents('r1', 'east'))], ['east']);
    const eligible = eligibleMembers(world.state, OPEN, new Set(['west', 'east']));
    assert.deepEqual(
      eligible.map(({ agentId }) => agentId),
      agents('east', 'west'),
    );
    const evaluation = { metrics: [], intervals: false, subgroups: [] } as never;
    const presence = (...names: string[]) => new Map(agents(...names).map((id) => [id, {}]));
    const told = shortageOf(world.state, { ...OPEN, evaluation }, presence('r1', 'east'), new Map());
    assert.match(told ?? '', /ready is 1; west is not connected/);
    assert.equal(
      shortageOf(world.state, { ...OPEN, evaluation }, presence('west', 'east'), new Map()),
      undefined,
    );
  });

  it('train for nobody where the agent of their site was revoked', () => {
    const world = withReplicas('r1');
    world.run({ kind: 'revoke-site', site: 'west', agentId: idOf('agt', 'west'), reason: 'replaced' });
    assert.deepEqual(ids(world), [idOf('agt', 'r1')]);
    assert.deepEqual(
      eligibleMembers(world.state, OPEN, new Set(['west', 'east'])).map(({ site }) => site),
      ['east'],
    );
  });

  it('are revoked one by one, and with their site', () => {
    const world = withReplicas('r1', 'r2');
    const one = { kind: 'revoke-site', site: 'west', agentId: idOf('agt', 'r1'), reason: 'gone' } as const;
    assert.equal(world.run(one).length, 1);
    assert.equal(world.run(one).length, 0);
    assert.deepEqual(ids(world), [idOf('agt', 'west'), idOf('agt', 'r2')]);
    assert.throws(
      () => world.run({ ...one, site: 'east' }),
      refusal('NOT_FOUND', /site east has no identity agt-/),
    );
    world.run({ kind: 'revoke-site', site: 'west', reason: 'all' });
    assert.deepEqual(ids(world), []);
    assert.throws(
      () => world.run({ kind: 'approve-site', site: 'west' }),
      refusal('CONFLICT', /was revoked/),
    );
  });

  it('wait for approval with their site', () => {
    const world = FederationWorld.create();
    world.invite('west', { approve: false });
    invite(world, 'r1', { approve: false });
    assert.throws(() => world.run({ kind: 'approve-site', site: 'west' }), refusal('CONFLICT', /not joined/));
    enrol(world, 'r1');
    assert.equal(statusOf(world, ['r1']).identities[0]?.phase, 'Pending');
    assert.equal(world.run({ kind: 'approve-site', site: 'west' }).length, 1);
    assert.equal(world.run({ kind: 'approve-site', site: 'west' }).length, 0);
  });

  it('are counted apart from the agent, and do not make a site ready that has none', () => {
    const world = withReplicas('r1', 'r2');
    const status = statusOf(world, ['r1']);
    assert.deepEqual(
      [status.trainers, status.replicas],
      [
        { joined: 1, ready: 0 },
        { joined: 2, ready: 1 },
      ],
    );
    assert.deepEqual(
      status.identities.map(({ kind, phase }) => `${kind} ${phase}`),
      ['Training Offline', 'Serving Ready', 'Serving Offline'],
    );
    assert.deepEqual([status.phase, status.agentId], ['Offline', idOf('agt', 'west')]);
    assert.equal(statusOf(world, ['west']).phase, 'Ready');
  });

  it('may connect, fetch and prove, and send no update', () => {
    for (const method of ['Connect', 'FetchBlob', 'GetTreeHead', 'Renew'] as const)
      requirePermission('replica', method);
    for (const method of ['SubmitUpdate', 'GetUploadStatus', 'Apply'] as const)
      assert.throws(() => {
        requirePermission('replica', method);
      }, refusal('PERMISSION_DENIED'));
  });

  it('read nothing of jobs, and of their site what is about themselves', () => {
    const world = withReplicas('r1');
    world.submit('loans');
    world.perform(world.until('open-round'));
    world.accept('loans', 'west');
    const agentId = idOf('agt', 'r1');
    const read = world.entries.filter((entry) =>
      mayAgentRead(world.state, { agentId, site: 'west', kind: 'Serving' }, entry),
    );
    assert.deepEqual(
      read.map(({ type }) => type),
      ['federation.created', 'agent.enrolled', 'agent.approved'],
    );
  });
});
