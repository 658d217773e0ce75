import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';
import { recordOfRefusal } from '@tributary/coordinator/internal/domain/decide.js';
import { activeAgent, enrolledWith } from '@tributary/coordinator/internal/domain/enrolment.js';

import { digestNamed, FederationWorld, idOf, keyNamed } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

const enrolment = (site: string, agent = site) => ({
  kind: 'enrol-agent' as const,
  tokenId: idOf('tok', site),
  identityKey: keyNamed(`identity ${agent}`),
  keyDigest: digestNamed(`tls ${agent}`),
  agentId: idOf('agt', agent),
});

const types = (entries: readonly { type: string }[]): string[] => entries.map(({ type }) => type);

describe('enrolment', () => {
  describe('invitations', () => {
    const token = (change: object = {}) => ({
      kind: 'create-token' as const,
      tokenId: idOf('tok', 'west'),
      site: 'west',
      labels: {},
      key: keyNamed('token'),
      ttlMs: 1_000,
      approve: false,
      ...change,
    });

    it('make the site known, with its labels and the end of the invitation', () => {
      const world = FederationWorld.create();
      world.run(token({ labels: { region: 'west' } }));
      assert.deepEqual(world.state.sites.get('west')?.labels, { region: 'west' });
      assert.equal(world.state.tokens.get(idOf('tok', 'west'))?.expiresAt, world.now + 1_000);
    });

    it('last a day where nothing else is asked for', () => {
      const world = FederationWorld.create();
      world.run(token({ ttlMs: 0 }));
      assert.equal(
        world.state.tokens.get(idOf('tok', 'west'))?.expiresAt,
        world.now + LIMITS.joinTokenDefaultTtlMs,
      );
    });

    it('are refused with a wrong name, life, key or label, naming the field', () => {
      const world = FederationWorld.create();
      assert.throws(() => world.run(token({ site: 'West Side' })), refusal('INVALID_ARGUMENT', /^site/));
      assert.throws(() => world.run(token({ ttlMs: -1 })), refusal('INVALID_ARGUMENT', /^ttl_seconds/));
      assert.throws(
        () => world.run(token({ ttlMs: LIMITS.joinTokenMaxTtlMs + 1 })),
        refusal('INVALID_ARGUMENT'),
      );
      assert.throws(() => world.run(token({ ttlMs: Number.NaN })), refusal('INVALID_ARGUMENT'));
      assert.throws(() => world.run(token({ key: 'AAAA' })), refusal('INVALID_ARGUMENT'));
      assert.throws(() => world.run(token({ labels: { '-': 'x' } })), refusal('INVALID_ARGUMENT', /^labels/));
      assert.throws(
        () => world.run(token({ labels: { a: 'b c' } })),
        refusal('INVALID_ARGUMENT', /^labels\.a/),
      );
      const many = Object.fromEntries(
        Array.from({ length: LIMITS.labels + 1 }, (_, at) => [`l${String(at)}`, '']),
      );
      assert.throws(() => world.run(token({ labels: many })), refusal('INVALID_ARGUMENT', /^labels/));
    });

    it('are refused for a site that has an agent, and under an id that was used', () => {
      const world = FederationWorld.withSites('west');
      assert.throws(
        () => world.run(token({ tokenId: idOf('tok', 'other') })),
        refusal('CONFLICT', /has an agent/),
      );
      assert.throws(() => world.run(token({ site: 'east' })), refusal('ALREADY_EXISTS'));
    });

    it('replace the unused one before: a lost token no longer works', () => {
      const world = FederationWorld.create();
      world.run(token());
      world.run(token({ tokenId: idOf('tok', 'again') }));
      assert.throws(() => world.run(enrolment('west')), refusal('TOKEN_INVALID'));
      assert.equal(world.state.tokens.size, 1);
    });
  });

  describe('joining', () => {
    it('enrols the first key, which waits for approval', () => {
      const world = FederationWorld.create();
      world.invite('west', { approve: false });
      assert.deepEqual(types(world.run(enrolment('west'))), ['agent.enrolled']);
      assert.equal(activeAgent(world.state, 'west')?.agentId, idOf('agt', 'west'));
      assert.equal(activeAgent(world.state, 'west')?.approvedAt, undefined);
    });

    it('approves at once where the token says so, in the name of the coordinator', () => {
      const world = FederationWorld.create();
      world.invite('west', { approve: true });
      const entries = world.run(enrolment('west'), 'agent/x');
      assert.deepEqual(types(entries), ['agent.enrolled', 'agent.approved']);
      assert.equal(entries[1]?.actor, 'coordinator');
    });

    it('answers the same key from the state, without a new entry', () => {
      const world = FederationWorld.create();
      const tokenId = world.invite('west');
      world.run(enrolment('west'));
      const { state } = world;
      world.now += 10 * LIMITS.joinTokenMaxTtlMs;
      assert.deepEqual(world.run({ ...enrolment('west'), agentId: idOf('agt', 'drawn anew') }), []);
      assert.equal(enrolledWith(world.state, tokenId)?.agentId, idOf('agt', 'west'));
      assert.equal(world.state, state);
    });

    it('takes a new TLS key of the same identity as a renewal', () => {
      const world = FederationWorld.create();
      world.invite('west');
      world.run(enrolment('west'));
      assert.deepEqual(types(world.run({ ...enrolment('west'), keyDigest: digestNamed('tls 2') })), [
        'agent.renewed',
      ]);
      assert.deepEqual(activeAgent(world.state, 'west')?.keyDigests, [
        digestNamed('tls 2'),
        digestNamed('tls west'),
      ]);
    });

    it('lets the newest process act and no older one, and records each once', () => {
      const world = FederationWorld.create();
      const agentId = idOf('agt', 'west');
      const start = (sessionEpoch: bigint) => ({ kind: 'start-agent' as const, agentId, sessionEpoch });
      assert.throws(() => world.run(start(1n)), refusal('UNAUTHENTICATED'));
      world.invite('west');
      world.run(enrolment('west'));
      const highest = 2n ** 64n - 1n;
      assert.deepEqual(types(world.run(start(7n))), ['agent.started']);
      assert.deepEqual(world.run(start(7n)), [], 'a stream of the same process');
      assert.throws(() => world.run(start(6n)), refusal('AGENT_FENCED'));
      assert.deepEqual(types(world.run(start(highest))), ['agent.started']);
      assert.equal(activeAgent(world.state, 'west')?.sessionEpoch, String(highest));
      assert.throws(() => world.run(start(7n)), refusal('AGENT_FENCED'));
      world.run({ kind: 'revoke-site', site: 'west', reason: 'gone' });
      assert.throws(() => world.run(start(highest)), refusal('AGENT_REVOKED'));
    });

    it('refuses another key and raises one alarm, however often it comes', () => {
      const world = FederationWorld.create();
      world.invite('west');
      world.run(enrolment('west'));
      const stranger = { ...enrolment('west', 'stranger'), now: world.now, actor: 'agent/x' };
      for (const expected of [['alarm.raised'], []]) {
        let error: unknown;
        assert.throws(
          () => world.run(stranger),
          (thrown) => refusal('TOKEN_USED')((error = thrown)),
        );
        assert.deepEqual(types(world.record(recordOfRefusal(world.state, stranger, error))), expected);
      }
      assert.equal(world.state.alarms[0]?.code, 'TOKEN_USED');
      assert.equal(world.state.alarms[0]?.subject, `token/${idOf('tok', 'west')}`);
    });

    it('raises no alarm for other refusals', () => {
      const world = FederationWorld.create();
      const command = { ...enrolment('nowhere'), now: world.now, actor: 'agent/x' };
      assert.throws(() => world.run(command), refusal('TOKEN_INVALID'));
      assert.deepEqual(recordOfRefusal(world.state, command, new Error('other')), []);
      assert.deepEqual(
        recordOfRefusal(world.state, { kind: 'approve-site', site: 'x', now: 0, actor: 'x' }, undefined),
        [],
      );
    });

    it('refuses an expired token at its very end', () => {
      const world = FederationWorld.create();
      world.invite('west');
      world.now += LIMITS.joinTokenDefaultTtlMs;
      assert.throws(() => world.run(enrolment('west')), refusal('TOKEN_EXPIRED'));
      world.now -= 1;
      assert.equal(world.run(enrolment('west')).length, 2);
    });

    it('refuses keys that belong to the agent of another site', () => {
      const world = FederationWorld.withSites('west');
      world.invite('east');
      const identity = { ...enrolment('east'), identityKey: keyNamed('identity west') };
      assert.throws(() => world.run(identity), refusal('ALREADY_EXISTS'));
      assert.throws(
        () => world.run({ ...enrolment('east'), keyDigest: digestNamed('tls west') }),
        refusal('ALREADY_EXISTS'),
      );
      assert.throws(
        () => world.run({ ...enrolment('east'), agentId: idOf('agt', 'west') }),
        refusal('ALREADY_EXISTS'),
      );
      assert.throws(
        () => world.run({ ...enrolment('east'), identityKey: 'AAAA' }),
        refusal('INVALID_ARGUMENT'),
      );
    });
  });

  describe('renewal', () => {
    it('keeps the newest key and the one before it', () => {
      const world = FederationWorld.withSites('west');
      const agentId = idOf('agt', 'west');
      for (const name of ['2', '3'])
        world.run({ kind: 'renew-agent', agentId, keyDigest: digestNamed(name) });
      assert.deepEqual(world.state.agents.get(agentId)?.keyDigests, [digestNamed('3'), digestNamed('2')]);
    });

    it('is refused to strangers and to revoked agents', () => {
      const world = FederationWorld.withSites('west');
      const renewal = { kind: 'renew-agent' as const, keyDigest: digestNamed('2') };
      assert.throws(
        () => world.run({ ...renewal, agentId: idOf('agt', 'nobody') }),
        refusal('UNAUTHENTICATED'),
      );
      world.run({ kind: 'revoke-site', site: 'west', reason: 'lost' });
      assert.throws(() => world.run({ ...renewal, agentId: idOf('agt', 'west') }), refusal('AGENT_REVOKED'));
    });
  });

  describe('approval and revocation', () => {
    it('approves once', () => {
      const world = FederationWorld.create();
      world.invite('west', { approve: false });
      assert.throws(
        () => world.run({ kind: 'approve-site', site: 'west' }),
        refusal('CONFLICT', /not joined/),
      );
      world.run(enrolment('west'));
      assert.deepEqual(types(world.run({ kind: 'approve-site', site: 'west' })), ['agent.approved']);
      assert.deepEqual(world.run({ kind: 'approve-site', site: 'west' }), []);
      assert.throws(() => world.run({ kind: 'approve-site', site: 'east' }), refusal('NOT_FOUND', /east/));
    });

    it('revokes once; the site is approved again only after a new invitation', () => {
      const world = FederationWorld.withSites('west');
      assert.deepEqual(types(world.run({ kind: 'revoke-site', site: 'west', reason: 'lost' })), [
        'agent.revoked',
      ]);
      assert.deepEqual(world.run({ kind: 'revoke-site', site: 'west', reason: 'again' }), []);
      assert.equal(activeAgent(world.state, 'west'), undefined);
      assert.throws(() => world.run({ kind: 'approve-site', site: 'west' }), refusal('CONFLICT', /revoked/));
      assert.throws(() => world.run(enrolment('west')), refusal('AGENT_REVOKED'));
    });

    it('lets a new agent take the place of a revoked one, on the same host too', () => {
      const world = FederationWorld.withSites('west');
      world.run({ kind: 'revoke-site', site: 'west', reason: 'new machine' });
      world.invite('west', { token: 'second' });
      world.run({ ...enrolment('west'), tokenId: idOf('tok', 'second'), agentId: idOf('agt', 'second') });
      assert.equal(activeAgent(world.state, 'west')?.agentId, idOf('agt', 'second'));
      assert.ok(world.state.agents.get(idOf('agt', 'west'))?.revokedAt);
    });
  });

  it('bounds the sites and agents that one coordinator knows', () => {
    const world = FederationWorld.withSites('west');
    world.invite('east');
    const [site] = world.state.sites.values();
    const [agent] = world.state.agents.values();
    assert.ok(site && agent);
    const fill = <T>(known: ReadonlyMap<string, T>, one: T): Map<string, T> => {
      const full = new Map(known);
      for (let at = known.size; at < LIMITS.agents; at += 1) full.set(`x${String(at)}`, one);
      return full;
    };
    world.state = { ...world.state, sites: fill(world.state.sites, site) };
    assert.throws(() => world.invite('north'), refusal('LIMIT_EXCEEDED'));
    world.state = { ...world.state, agents: fill(world.state.agents, agent) };
    assert.throws(() => world.run(enrolment('east')), refusal('LIMIT_EXCEEDED'));
  });

  it('replays to the same state', () => {
    const world = FederationWorld.withSites('west', 'east');
    world.run({ kind: 'revoke-site', site: 'east', reason: 'lost' });
    assert.deepEqual(world.replayed(), world.state);
  });
});
