import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

import fc from 'fast-check';
import { encodeEntry, ENTRY_VERSION, LIMITS } from '@tributary/proto';
import {
  cohortCount,
  eligibleMembers,
  selectCohort,
  type Member,
} from '@tributary/coordinator/internal/domain/selection.js';

import { FederationWorld, idOf, keyNamed } from '../../support/federation-world.js';

const members = (count: number): Member[] =>
  Array.from({ length: count }, (_, at) => ({
    site: `site-${String(at)}`,
    agentId: idOf('agt', String(at)),
  }));

const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });
const names = (cohort: readonly Member[]): string[] => cohort.map(({ site }) => site);

const CLEAR = { privacy: { secureAggregation: false } };

describe('the selection of a cohort', () => {
  it('takes the members first in the order of SHA-256(seed, site)', () => {
    const seed = new Uint8Array(32).fill(5);
    const rank = (site: string): string => createHash('sha256').update(seed).update(site).digest('hex');
    const expected = names(members(9))
      .sort((left, right) => (rank(left) < rank(right) ? -1 : 1))
      .slice(0, 4)
      .sort();
    assert.deepEqual(names(selectCohort(members(9), 4, seed)), expected);
  });

  it('follows from the seed alone, not from the order of the members', () => {
    const shuffled = fc.shuffledSubarray(members(12), { minLength: 12 });
    fc.assert(
      fc.property(seeds, shuffled, fc.nat(14), (seed, list, count) => {
        const cohort = selectCohort(list, count, seed);
        assert.deepEqual(cohort, selectCohort(members(12), count, seed));
        assert.equal(cohort.length, Math.min(count, 12));
        assert.deepEqual(names(cohort), names(cohort).sort());
        assert.equal(new Set(names(cohort)).size, cohort.length);
      }),
    );
  });

  it('moves nobody when somebody else goes, except into the free place', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 9 }), (seed, count) => {
        const before = names(selectCohort(members(10), count, seed));
        const gone = before[0] ?? '';
        const after = names(
          selectCohort(
            members(10).filter(({ site }) => site !== gone),
            count,
            seed,
          ),
        );
        assert.equal(before.filter((site) => site !== gone && !after.includes(site)).length, 0);
      }),
    );
  });

  it('gives every member a chance: 400 seeds, 5 of 10', () => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 400; seed += 1) {
      for (const { site } of selectCohort(members(10), 5, Buffer.from(keyNamed(String(seed)), 'base64'))) {
        counts.set(site, (counts.get(site) ?? 0) + 1);
      }
    }
    // Binomial with n = 400 and p = 1/2: a deviation of 50 is five standard deviations.
    for (const count of counts.values()) assert.ok(Math.abs(count - 200) < 50, String(count));
    assert.equal(counts.size, 10);
  });

  it('fits into one entry, whatever the names', () => {
    const long = Array.from({ length: LIMITS.updatesPerRound }, (_, at) => ({
      site: String(at).padStart(LIMITS.nameLength, 's'),
      agentId: idOf('agt', String(at)),
    }));
    const cohort = selectCohort(long, long.length, new Uint8Array(32));
    assert.ok(cohort.length > 3_000);
    const world = FederationWorld.withSites('east', 'west');
    world.submit('loans');
    const [opened] = world.perform(world.until('open-round'));
    assert.ok(opened?.type === 'round.opened');
    const entry = {
      ...opened,
      v: ENTRY_VERSION,
      body: { ...opened.body, cohort: cohort.map((member) => ({ ...member })) },
    };
    assert.ok(encodeEntry(entry).length <= LIMITS.ledgerEntryBytes);
    assert.equal(
      selectCohort(members(LIMITS.updatesPerRound), LIMITS.updatesPerRound, new Uint8Array(32)).length,
      LIMITS.updatesPerRound,
    );
  });
});

describe('the size of a cohort', () => {
  const spec = (cohortSize: number, overSelection: number) => ({
    siteSelector: { matchLabels: {} },
    minSites: 1,
    cohortSize,
    overSelection,
    ...CLEAR,
  });

  it('is all where none is wanted, and the wanted number with its excess, rounded up', () => {
    assert.equal(cohortCount(spec(0, 0), 7), 7);
    assert.equal(cohortCount(spec(10, 0.3), 20), 13);
    assert.equal(cohortCount(spec(10, 0.1), 20), 11);
    assert.equal(cohortCount(spec(3, 0.5), 20), 5);
    assert.equal(cohortCount(spec(10, 0.3), 12), 12);
    assert.equal(cohortCount(spec(0, 0), LIMITS.updatesPerRound + 1), LIMITS.updatesPerRound);
  });
});

describe('eligible members', () => {
  it('are approved, not revoked, connected and carry all labels', () => {
    const world = FederationWorld.create();
    world.join('both', { region: 'west', gpu: 'yes' });
    world.join('one', { region: 'west' });
    world.join('other', { region: 'east', gpu: 'yes' });
    world.join('revoked', { region: 'west', gpu: 'yes' });
    world.join('away', { region: 'west', gpu: 'yes' });
    world.run({ kind: 'revoke-site', site: 'revoked', reason: '' });
    world.connected.delete('away');
    world.invite('invited', { labels: { region: 'west', gpu: 'yes' } });
    world.connected.add('invited');
    const pick = (matchLabels: Record<string, string>): string[] =>
      names(
        eligibleMembers(
          world.state,
          { siteSelector: { matchLabels }, minSites: 1, cohortSize: 0, overSelection: 0, ...CLEAR },
          world.connected,
        ),
      );
    assert.deepEqual(pick({ region: 'west', gpu: 'yes' }), ['both']);
    assert.deepEqual(pick({ region: 'west' }), ['both', 'one']);
    assert.deepEqual(pick({}), ['both', 'one', 'other']);
    assert.deepEqual(pick({ region: 'north' }), []);
  });

  it('are not those that wait for approval', () => {
    const world = FederationWorld.withSites('east');
    const tokenId = world.invite('west', { approve: false });
    const agent = {
      identityKey: keyNamed('i'),
      keyDigest: `sha256:${'1'.repeat(64)}` as const,
      agentId: idOf('agt', 'west'),
    };
    world.run({ kind: 'enrol-agent', tokenId, ...agent });
    world.connected.add('west');
    const spec = {
      siteSelector: { matchLabels: {} },
      minSites: 1,
      cohortSize: 0,
      overSelection: 0,
      ...CLEAR,
    };
    assert.deepEqual(names(eligibleMembers(world.state, spec, world.connected)), ['east']);
    world.run({ kind: 'approve-site', site: 'west' });
    assert.deepEqual(names(eligibleMembers(world.state, spec, world.connected)), ['east', 'west']);
  });
});
