import assert from 'node:assert/strict';

import fc from 'fast-check';
import { canonicalize, parseCanonical, type JsonObject } from '@tributary/proto';
import { evolve } from '@tributary/coordinator/internal/domain/evolve.js';
import {
  EMPTY_FEDERATION,
  type FederationState,
} from '@tributary/coordinator/internal/domain/federation-state.js';
import {
  decodeSnapshot,
  encodeSnapshot,
  SNAPSHOT_VERSION,
} from '@tributary/coordinator/internal/domain/snapshot.js';

import { FederationWorld, idOf, keyNamed } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

/** A ledger with every kind of state in it: used and revoked things, open and ended rounds, models, alarms. */
function eventful(): FederationWorld {
  const world = FederationWorld.withSites('a', 'b', 'c');
  world.submit('loans', { rounds: 2 });
  world.submit('second', { suspend: true });
  world.perform(world.until('open-round'));
  const { jobId, round, attempt } = world.round('loans');
  world.run({
    kind: 'decline-round',
    jobId,
    round,
    attempt,
    agentId: idOf('agt', 'a'),
    code: 'POLICY_REFUSED',
    detail: 'ü',
  });
  const uploadId = idOf('upl', 'b');
  world.run({
    kind: 'refuse-update',
    jobId,
    round,
    attempt,
    agentId: idOf('agt', 'b'),
    uploadId,
    code: 'UPDATE_NOT_FINITE',
    detail: '',
  });
  world.perform(world.until('open-round'));
  for (const site of ['a', 'b', 'c']) world.accept('loans', site);
  world.perform(world.until('open-round'));
  world.accept('loans', 'a');
  world.run({ kind: 'raise-alarm', subject: `token/${idOf('tok', 'a')}`, code: 'TOKEN_USED', detail: '' });
  world.run({ kind: 'revoke-site', site: 'c', reason: 'lost' });
  world.accept('loans', 'b');
  world.perform(world.until('complete-job'));
  world.run({ kind: 'revoke-site', site: 'b', reason: '' });
  world.invite('b', { token: keyNamed('b').slice(0, 5) });
  world.run({ kind: 'cancel-job', name: 'second', reason: 'no' });
  return world;
}

const fold = (state: FederationState, world: FederationWorld, from: number, to: number): FederationState =>
  world.entries.slice(from, to).reduce(evolve, state);

describe('snapshots of the state', () => {
  const world = eventful();

  it('with the entries after them give the state of all entries, wherever they were taken', () => {
    const whole = fold(EMPTY_FEDERATION, world, 0, world.entries.length);
    assert.deepEqual(whole, world.state);
    fc.assert(
      fc.property(fc.nat(world.entries.length), (size) => {
        const restored = decodeSnapshot(encodeSnapshot(fold(EMPTY_FEDERATION, world, 0, size)));
        assert.ok(restored);
        assert.equal(restored.seq, size);
        assert.deepEqual(fold(restored, world, size, world.entries.length), whole);
      }),
    );
  });

  it('keep the order of maps, which is the order of the queue', () => {
    const restored = decodeSnapshot(encodeSnapshot(world.state));
    assert.deepEqual([...(restored?.jobs.keys() ?? [])], [...world.state.jobs.keys()]);
    assert.deepEqual([...(restored?.sites.keys() ?? [])], [...world.state.sites.keys()]);
  });

  it('are the same bytes for the same state', () => {
    assert.deepEqual(encodeSnapshot(world.replayed()), encodeSnapshot(world.state));
  });

  const read = (): JsonObject => parseCanonical(encodeSnapshot(world.state), 10_000_000) as JsonObject;

  it('of a newer format are refused, older ones are left aside', () => {
    const newer = canonicalize({ ...read(), formatVersion: SNAPSHOT_VERSION + 1 });
    assert.throws(() => decodeSnapshot(newer), refusal('FORMAT_UNSUPPORTED'));
    assert.equal(decodeSnapshot(canonicalize({ ...read(), formatVersion: SNAPSHOT_VERSION - 2 })), undefined);
  });

  it('of version 4 know no replicas: every identity of theirs trains', () => {
    const state = read()['state'] as JsonObject;
    const without = (map: unknown, field: string): JsonObject => ({
      $map: ((map as JsonObject)['$map'] as [string, JsonObject][]).map(([key, value]) => {
        const { [field]: _, ...rest } = value;
        return [key, rest];
      }),
    });
    const older = {
      ...state,
      tokens: without(state['tokens'], 'kind'),
      agents: without(state['agents'], 'kind'),
      sites: without(state['sites'], 'replicas'),
    };
    assert.notDeepEqual(older, state);
    assert.deepEqual(decodeSnapshot(canonicalize({ formatVersion: 4, state: older })), world.state);
  });

  it('that are damaged are left aside', () => {
    const bytes = encodeSnapshot(world.state);
    assert.equal(decodeSnapshot(bytes.subarray(1)), undefined);
    assert.equal(decodeSnapshot(new Uint8Array()), undefined);
    assert.equal(decodeSnapshot(canonicalize('text')), undefined);
    assert.equal(decodeSnapshot(canonicalize({})), undefined);
    assert.equal(decodeSnapshot(canonicalize({ formatVersion: SNAPSHOT_VERSION })), undefined);
    assert.equal(
      decodeSnapshot(canonicalize({ formatVersion: SNAPSHOT_VERSION, state: { seq: 1 } })),
      undefined,
    );
    const state = read()['state'] as JsonObject;
    assert.equal(
      decodeSnapshot(canonicalize({ formatVersion: SNAPSHOT_VERSION, state: { ...state, jobs: [] } })),
      undefined,
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        assert.equal(decodeSnapshot(noise), undefined);
      }),
    );
  });
});
