import assert from 'node:assert/strict';

import type { PublishRoster } from '@tributary/coordinator/internal/domain/command.js';
import type { MembershipState } from '@tributary/coordinator/internal/domain/federation-state.js';
import { absentMembers } from '@tributary/coordinator/internal/domain/membership.js';
import { shortageOf } from '@tributary/coordinator/internal/domain/selection.js';
import { decodeSnapshot, encodeSnapshot } from '@tributary/coordinator/internal/domain/snapshot.js';
import {
  decodeEntry,
  rootDigest,
  rosterDigest,
  type EntryType,
  type FederationRoot,
  type RosterDocument,
} from '@tributary/proto';

import { FederationWorld, idOf, keyNamed } from '../../support/federation-world.js';
import { rootOf, rosterOf, signedBy } from '../../support/roster.js';
import { TrainingWorld } from '../../support/training-world.js';

const root = rootOf(1, 'ada');
const next = rootOf(1, 'bo');

const members = (...sites: readonly string[]): RosterDocument['members'] =>
  sites.map((site) => ({ site, agentId: idOf('agt', site), identityKey: keyNamed(`identity ${site}`) }));

function publication(
  roster: RosterDocument,
  by: FederationRoot = root,
  signer = 'ada',
): Omit<PublishRoster, 'now' | 'actor'> {
  return {
    kind: 'publish-roster',
    roster,
    document: new TextDecoder().decode(signedBy(roster, signer)),
    digest: rosterDigest(roster),
    root: rootDigest(by),
    signatures: 1,
  };
}

const version = (number: number, ...sites: readonly string[]) =>
  publication(rosterOf(root, [], { version: number, members: members(...sites) }));

describe('a published roster', () => {
  it('is an entry that everybody may read, and changes nothing the second time', () => {
    const world = FederationWorld.withSites('east', 'west');
    const [entry, ...others] = world.run(version(1, 'east', 'west'));
    assert.equal(others.length, 0);
    assert.equal(entry?.type, 'roster.published');
    assert.deepEqual(world.run(version(1, 'east', 'west')), []);
    assert.equal(world.state.membership?.version, 1);
    assert.deepEqual(world.replayed().membership, world.state.membership);
    assert.deepEqual(decodeSnapshot(encodeSnapshot(world.state)), world.state);
  });

  it('gives way to a higher version of its root only', () => {
    const world = FederationWorld.withSites('east', 'west');
    world.run(version(3, 'east'));
    for (const stale of [version(3, 'west'), version(2, 'east', 'west')])
      assert.throws(() => world.run(stale), { code: 'CONFLICT' });
    const foreign = publication(rosterOf(next, [], { version: 4 }), next, 'bo');
    assert.throws(() => world.run(foreign), { code: 'CONFLICT', message: /of root/ });
    world.run(version(4, 'west'));
    assert.equal(world.state.membership?.version, 4);
  });

  it('of a new root comes with the hand-over of the old one, in one step', () => {
    const world = FederationWorld.withSites('east', 'west');
    const first = publication(rosterOf(root, [], { members: members('east') }));
    const rotation = { previous: rootDigest(root), document: '{}' };
    assert.throws(() => world.run({ ...first, rotation }), { code: 'CONFLICT' }, 'nothing to hand over');
    world.run(first);
    const second = publication(rosterOf(next, [], { version: 2, members: members('west') }), next, 'bo');
    const wrong = { ...second, rotation: { ...rotation, previous: rootDigest(next) } };
    assert.throws(() => world.run(wrong), { code: 'CONFLICT' });
    const types = world.run({ ...second, rotation }).map(({ type }) => type);
    assert.deepEqual(types, ['root.rotated', 'roster.published']);
    const { rotations, seq, root: now }: Partial<MembershipState> = world.state.membership ?? {};
    assert.deepEqual([rotations, now], [[(seq ?? 0) - 1], rootDigest(next)]);
  });

  it('keeps agents out of rounds that it does not name with their key', () => {
    const world = FederationWorld.withSites('east', 'north', 'west');
    world.run(version(1, 'east', 'west', 'south'));
    world.submit('loans', { minSites: 2 });
    world.perform(world.until('open-round'));
    assert.deepEqual([...world.round('loans').cohort.keys()], ['east', 'west']);
    assert.deepEqual(absentMembers(world.state), ['south']);
    const [east] = members('east');
    assert.ok(east !== undefined);
    const mixed = rosterOf(root, [], {
      version: 2,
      members: [{ ...east, identityKey: keyNamed('another') }, ...members('west')],
    });
    world.run(publication(mixed));
    assert.deepEqual(absentMembers(world.state), ['east']);
    const spec = world.job('loans').document.spec;
    const presence = new Map(['east', 'north', 'west'].map((site) => [idOf('agt', site), true]));
    assert.match(
      shortageOf(world.state, spec, presence, new Map()) ?? '',
      /east is not in the roster; north is not in the roster/,
    );
  });

  it('is proven to agents with every order to train, of every wire version that is spoken', async () => {
    const world = await TrainingWorld.create(['east', 'west', 'south']);
    world.connectAll();
    const joined = [...world.federation.state.agents.values()].map(({ site, agentId, identityKey }) => ({
      site,
      agentId,
      identityKey,
    }));
    await world.federation.execute({
      ...publication(rosterOf(root, [], { members: joined })),
      ...world.asked(),
    });
    const orders: (readonly EntryType[])[] = [];
    for (const [site, wire] of [
      ['east', '1.3'],
      ['west', '1.2'],
      ['south', '1.1'],
    ] as const) {
      const link = {
        order: ({ entries }: { entries: readonly { entry: Uint8Array }[] }) =>
          orders.push(entries.map(({ entry }) => decodeEntry(entry).type)),
        goodbye: () => undefined,
      };
      const hello = { sessionEpoch: 99n, knownSize: 0, software: '', backend: '', datasets: [], wire };
      world.training.agents.attach(world.agent(site).agentId, hello, link);
    }
    const job = await world.submit('loans', { minSites: 3, privacy: { secureAggregation: false } });
    await world.openRound(job);
    await world.until('the orders', () => (orders.length === 3 ? true : undefined));
    const asked: readonly EntryType[] = ['roster.published', 'job.submitted', 'job.started', 'round.opened'];
    assert.deepEqual(orders, [asked, asked, asked]);
    await world.close();
  });
});
