import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';

import { digestNamed, FederationWorld, idOf, keyNamed } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

const creation = (context: string, role: 'admin' | 'viewer' = 'viewer', key = context) => ({
  kind: 'create-context' as const,
  context,
  role,
  keyDigest: digestNamed(key),
});

describe('the federation itself', () => {
  const federation = {
    kind: 'create-federation' as const,
    federationId: idOf('fed', 'test'),
    name: 'test',
    logKey: keyNamed('log'),
    modelKey: keyNamed('model'),
    caDigest: digestNamed('ca'),
  };

  it('is the first entry, once', () => {
    const world = new FederationWorld();
    assert.deepEqual(
      world.run(federation).map(({ seq, type }) => [seq, type]),
      [[0, 'federation.created']],
    );
    assert.deepEqual(world.run(federation), []);
    assert.throws(
      () => world.run({ ...federation, federationId: idOf('fed', 'other') }),
      refusal('CONFLICT'),
    );
  });

  it('comes before everything else', () => {
    const world = new FederationWorld();
    assert.throws(() => world.run(creation('root')), refusal('CONFLICT', /not initialised/));
    assert.throws(() => world.run({ ...federation, logKey: 'AAAA' }), refusal('INVALID_ARGUMENT'));
  });
});

describe('contexts', () => {
  it('are created once per name and key', () => {
    const world = FederationWorld.create();
    assert.equal(world.run(creation('auditor')).length, 1);
    assert.deepEqual(world.run(creation('auditor')), []);
    assert.throws(() => world.run(creation('auditor', 'admin')), refusal('ALREADY_EXISTS'));
    assert.throws(() => world.run(creation('auditor', 'viewer', 'other')), refusal('ALREADY_EXISTS'));
    assert.throws(() => world.run(creation('An Auditor')), refusal('INVALID_ARGUMENT', /^name/));
  });

  it('are revoked once; the name is free again', () => {
    const world = FederationWorld.create();
    world.run(creation('auditor'));
    assert.equal(world.run({ kind: 'revoke-context', context: 'auditor' }).length, 1);
    assert.deepEqual(world.run({ kind: 'revoke-context', context: 'auditor' }), []);
    assert.equal(world.state.contexts.get('auditor')?.revoked, true);
    world.run(creation('auditor', 'admin', 'new key'));
    assert.equal(world.state.contexts.get('auditor')?.role, 'admin');
    assert.throws(() => world.run({ kind: 'revoke-context', context: 'nobody' }), refusal('NOT_FOUND'));
  });

  it('always leave one admin', () => {
    const world = FederationWorld.create();
    world.run(creation('auditor'));
    assert.throws(
      () => world.run({ kind: 'revoke-context', context: 'root' }),
      refusal('CONFLICT', /last context/),
    );
    world.run(creation('second', 'admin'));
    assert.equal(world.run({ kind: 'revoke-context', context: 'root' }).length, 1);
  });

  it('are bounded in number', () => {
    const world = FederationWorld.create();
    const known = new Map(world.state.contexts);
    const root = known.get('root');
    assert.ok(root);
    for (let at = known.size; at < LIMITS.contexts; at += 1)
      known.set(`c${String(at)}`, { ...root, name: `c${String(at)}` });
    world.state = { ...world.state, contexts: known };
    assert.throws(() => world.run(creation('one-more')), refusal('LIMIT_EXCEEDED'));
  });
});

describe('alarms', () => {
  it('are kept up to a number, the newest ones', () => {
    const world = FederationWorld.create();
    for (let at = 0; at <= LIMITS.alarmsKept; at += 1) {
      world.run({ kind: 'raise-alarm', subject: 'federation', code: 'PROOF_INVALID', detail: String(at) });
    }
    assert.equal(world.state.alarms.length, LIMITS.alarmsKept);
    assert.equal(world.state.alarms.at(-1)?.detail, String(LIMITS.alarmsKept));
    assert.equal(world.state.alarms[0]?.detail, '1');
  });

  it('cut what is too long for an entry, between characters', () => {
    const world = FederationWorld.create();
    world.run({
      kind: 'raise-alarm',
      subject: 'federation',
      code: 'X'.repeat(100),
      detail: '😀'.repeat(1_000),
    });
    const [alarm] = world.state.alarms;
    assert.equal(alarm?.code.length, LIMITS.nameLength);
    assert.equal(alarm.detail, '😀'.repeat(LIMITS.detailLength / 2));
  });
});
