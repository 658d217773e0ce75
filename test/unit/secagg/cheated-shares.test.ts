import assert from 'node:assert/strict';

import {
  canonicalize,
  encodeBadDealing,
  encodeBase64,
  encodeRoundRoster,
  openDeliveries,
  openDelivery,
  openRoundRoster,
  provesBadDealing,
  recoverMasks,
  signStage,
  verifyAdvertisement,
  verifyShareBundle,
  type ProvenShare,
  type ShareBundle,
} from '@tributary/proto';
import { dealShares } from '@tributary/proto/internal/secagg/shamir.js';

import { refusal } from '../../support/refusal.js';
import { SeededRandom } from '../../support/seeded-random.js';
import {
  BASE,
  createParty,
  dealAll,
  deliveriesTo,
  encodeVector,
  OTHER_BASE,
  randomInput,
  ROUND,
  unmask,
} from './secure-cohort.js';
import {
  AGENTS,
  alice,
  blames,
  bob,
  carol,
  CLIP,
  expected,
  flip,
  parties,
  roster,
  world,
} from './cheated-cohort.js';

describe('a roster that cheats', () => {
  const rosterWith = (change: (members: typeof roster.roster.members) => typeof roster.roster.members) => {
    const members = change(structuredClone(roster.roster.members));
    return encodeRoundRoster(expected, new Uint8Array(32), members);
  };
  const refused = (bytes: Uint8Array, text: RegExp, more = {}) =>
    assert.throws(
      () => openRoundRoster(bytes, { ...expected, ...more }),
      refusal('SECAGG_MESSAGE_INVALID', text),
    );

  it('is refused for another round, base model or plan', () => {
    refused(world.rosterBytes, /another round/, { round: { ...ROUND, attempt: 1 } });
    refused(world.rosterBytes, /another base/, { baseDigest: OTHER_BASE });
    refused(world.rosterBytes, /threshold/, { plan: { ...expected.plan, threshold: 5 } });
    refused(canonicalize({ formatVersion: 1 }), /roster/);
  });

  it('may not show an agent other keys than its own, or leave it out', () => {
    const self = { agentId: alice.agentId, advertisement: alice.advertisement };
    openRoundRoster(world.rosterBytes, { ...expected, self });
    refused(
      rosterWith((members) => members.filter(({ agentId }) => agentId !== alice.agentId)),
      /leaves this agent out/,
      { self },
    );
    const advertisement = signStage(
      ROUND,
      'advertise',
      alice.agentId,
      { ...alice.member.advertisement, baseDigest: BASE, maskKey: bob.member.advertisement.sealKey },
      alice.key,
    );
    refused(world.rosterBytes, /other keys of this agent/, { self: { ...self, advertisement } });
  });

  it('may not hold Sybils, foreign keys or one site twice, and names them', () => {
    const sybil = createParty(99, new SeededRandom(77));
    assert.throws(
      () =>
        openRoundRoster(
          rosterWith((members) => [...members.slice(1), sybil.member]),
          expected,
        ),
      blames(sybil.agentId, /no member/),
    );
    const foreign = { ...bob.member, identityKey: encodeBase64(sybil.key.publicKey) };
    const swap = (members: typeof roster.roster.members) =>
      members.map((member) => (member.agentId === bob.agentId ? foreign : member));
    assert.throws(() => openRoundRoster(rosterWith(swap), expected), blames(bob.agentId, /no member/));
    assert.throws(
      () => openRoundRoster(rosterWith(swap), { ...expected, isMember: () => true }),
      blames(bob.agentId, /signature/),
    );
    const twice = (members: typeof roster.roster.members) =>
      members.map((member) => ({ ...member, site: 'site-1' }));
    refused(rosterWith(twice), /shares its site or a key/);
  });

  it('needs as many members as the plan', () => {
    assert.throws(
      () =>
        openRoundRoster(
          rosterWith((members) => members.slice(0, 3)),
          expected,
        ),
      refusal('SECAGG_TOO_FEW'),
    );
  });

  it('takes no advertisement of another base, round or with a key of small order', () => {
    const signer = { agentId: alice.agentId, identityKey: alice.key.publicKey };
    const check = (round: typeof ROUND, base: typeof BASE) => () =>
      verifyAdvertisement(round, base, signer, alice.advertisement);
    check(ROUND, BASE)();
    assert.throws(check(ROUND, OTHER_BASE), blames(alice.agentId, /another base/));
    assert.throws(check({ ...ROUND, round: 4 }, BASE), blames(alice.agentId, /signature/));
    const weak = { ...alice.member.advertisement, maskKey: encodeBase64(new Uint8Array(32)) };
    const message = signStage(ROUND, 'advertise', alice.agentId, weak, alice.key);
    assert.throws(() => verifyAdvertisement(ROUND, BASE, signer, message), blames(alice.agentId, /maskKey/));
  });
});

describe('shares that cheat', () => {
  const bundleOf = async (): Promise<ShareBundle> => {
    const bundle = (await dealAll(world)).bundles.get(alice.agentId);
    assert.ok(bundle);
    return bundle;
  };

  it('are named whichever bit is flipped', async () => {
    const bundle = await bundleOf();
    const random = new SeededRandom(3);
    for (let time = 0; time < 60; time += 1) {
      const entries = bundle.entries.map((entry, index) =>
        index === time % AGENTS ? flip(entry, random.below(entry.length * 8)) : entry,
      );
      const changed = [
        { ...bundle, payload: flip(bundle.payload, random.below(bundle.payload.length * 8)) },
        { ...bundle, signature: flip(bundle.signature, random.below(512)) },
        { ...bundle, entries },
      ];
      for (const one of changed)
        assert.throws(() => verifyShareBundle(roster, alice.agentId, one), blames(alice.agentId));
    }
    assert.throws(
      () => verifyShareBundle(roster, alice.agentId, { ...bundle, entries: bundle.entries.slice(1) }),
      blames(alice.agentId, /entries for 4 of 5/),
    );
    assert.throws(() => verifyShareBundle(roster, bob.agentId, bundle), blames(bob.agentId, /signature/));
  });

  it('of one dealer do not keep a holder from the others', async () => {
    const { bundles } = await dealAll(world);
    const deliveries = deliveriesTo(world, bundles, bob.agentId).map((delivery) =>
      delivery.dealer === alice.agentId ? { ...delivery, entry: flip(delivery.entry, 9) } : delivery,
    );
    const { held, refused } = openDeliveries(roster, bob.agentId, deliveries, bob.secrets.sealSecret);
    assert.equal(held.length, AGENTS - 1);
    assert.deepEqual(
      refused.map(({ dealer }) => dealer),
      [alice.agentId],
    );
  });

  it('for one holder open for nobody else', async () => {
    const { bundles } = await dealAll(world);
    const delivery = deliveriesTo(world, bundles, bob.agentId).find(({ dealer }) => dealer === alice.agentId);
    assert.ok(delivery);
    openDelivery(roster, bob.agentId, delivery, bob.secrets.sealSecret);
    assert.throws(
      () => openDelivery(roster, bob.agentId, delivery, carol.secrets.sealSecret),
      blames(alice.agentId, /do not open/),
    );
    assert.throws(
      () => openDelivery(roster, carol.agentId, delivery, carol.secrets.sealSecret),
      blames(alice.agentId),
    );
  });

  it('that a dealer signed without making its secret are left out where t others do, and cost the round where not', async () => {
    const { bundles, cohort } = await dealAll(world);
    const vectors = new Map(
      parties.map((party) => [
        party.agentId,
        encodeVector(party, cohort, AGENTS, CLIP, randomInput(new SeededRandom(1), 3, CLIP)),
      ]),
    );
    const { survivors, answers } = await unmask(world, bundles, cohort, vectors);
    const commitments = new Map(
      [...bundles].map(([dealer, bundle]) => [dealer, verifyShareBundle(roster, dealer, bundle)]),
    );
    const refused = new Map(parties.map(({ agentId }) => [agentId, []]));
    const others = await dealShares(new Uint8Array(32).fill(7), AGENTS, roster.roster.plan.threshold);
    const culprits = [{ agentId: alice.agentId, stage: 'share', reason: 'SharesDoNotCombine' }];
    const recover = (bad: number) =>
      recoverMasks({
        ...{ roster, cohort, survivors, commitments, refused },
        answers: answers.map((answer, index) => ({
          ...answer,
          shares: answer.shares.map((given) =>
            given.owner === alice.agentId && index < bad
              ? { ...given, share: others[index] ?? given.share }
              : given,
          ),
        })),
      });
    const spare = AGENTS - roster.roster.plan.threshold;
    assert.ok(spare > 0);
    for (const bad of [1, spare]) {
      const found = await recover(bad);
      assert.equal(found.type, 'Recovered');
      assert.deepEqual(found.culprits, culprits);
    }
    for (const bad of [spare + 1, AGENTS]) {
      const found = await recover(bad);
      assert.ok(found.type === 'Lost');
      blames(alice.agentId, /do not make the secret/)(found.error);
      assert.deepEqual(found.culprits, culprits);
    }
  });

  it('convict no honest dealer, whatever is shown of it', async () => {
    const { bundles, cohort } = await dealAll(world);
    const vectors = new Map(
      parties.map((party) => [
        party.agentId,
        encodeVector(party, cohort, AGENTS, CLIP, randomInput(new SeededRandom(1), 3, CLIP)),
      ]),
    );
    const { answers } = await unmask(world, bundles, cohort, vectors);
    const { threshold } = roster.roster.plan;
    const known = {
      ...roster.member(alice.agentId),
      round: roster.round,
      rosterDigest: roster.digest,
      threshold,
    };
    const [bundle, other] = [bundles.get(alice.agentId), bundles.get(bob.agentId)];
    assert.ok(bundle && other);
    const holders = roster.graph.holdersOf(alice.agentId);
    const given = answers.map(({ agentId, shares }) => {
      const entry = bundle.entries[holders.indexOf(agentId)];
      const share = shares.find(({ owner }) => owner === alice.agentId)?.share;
      assert.ok(entry && share);
      return { entry, share };
    });
    const convicts = (shown: readonly ProvenShare[]): Promise<boolean> =>
      provesBadDealing(known, bundle, encodeBadDealing(shown));
    const [first] = given;
    assert.ok(first);
    assert.equal(await convicts(given), false);
    assert.equal(await convicts(given.slice(0, threshold - 1)), false, 'too few make any secret');
    assert.equal(await convicts(Array.from({ length: threshold }, () => first)), false, 'one share, t times');
    const altered = given.map(({ entry, share }) => ({ entry, share: flip(share, 3) }));
    assert.equal(await convicts(altered), false, 'shares that it did not sign');
    const foreign = given.map(({ share }, index) => ({ share, entry: other.entries[index] ?? share }));
    assert.equal(await convicts(foreign), false, 'entries that it did not sign');
    await assert.rejects(
      provesBadDealing(known, other, encodeBadDealing(given)),
      blames(alice.agentId, /signature/),
    );
    const weaker = { ...known, threshold: threshold - 1 };
    assert.equal(await provesBadDealing(weaker, bundle, encodeBadDealing(given.slice(1))), true);
  });
});
