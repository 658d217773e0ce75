import assert from 'node:assert/strict';

import {
  encodeBase64,
  encodeSurvivors,
  openCohort,
  openDeliveries,
  openSurvivors,
  recoverMasks,
  ringScale,
  signingKeyFromSeed,
  signStage,
  signSurvivors,
  signUnmasking,
  verifyShareBundle,
  verifySurvivorSet,
  verifyUnmaskAnswer,
} from '@tributary/proto';

import { refusal } from '../../support/refusal.js';
import { SeededRandom } from '../../support/seeded-random.js';
import {
  dealAll,
  deliveriesTo,
  encodeVector,
  OTHER_BASE,
  plainSum,
  randomInput,
  ROUND,
  sumOf,
  TAIL,
  unmask,
  type Vector,
} from './secure-cohort.js';
import { AGENTS, alice, blames, bob, carol, CLIP, flip, parties, roster, world } from './cheated-cohort.js';

describe('a cohort that cheats', () => {
  it('is refused where it does not match what an agent dealt and was delivered', async () => {
    const { bundles, cohortBytes } = await dealAll(world);
    const other = await dealAll(world, new Set([carol.agentId]));
    const own = bundles.get(alice.agentId);
    assert.ok(own);
    const evidence = {
      agentId: alice.agentId,
      shares: own,
      delivered: deliveriesTo(world, bundles, alice.agentId),
    };
    openCohort(cohortBytes, roster, evidence);
    assert.throws(
      () => openCohort(other.cohortBytes, roster, evidence),
      refusal('SECAGG_MESSAGE_INVALID', /this agent/),
    );
    const missing = evidence.delivered.filter(({ dealer }) => dealer !== bob.agentId);
    assert.throws(
      () => openCohort(cohortBytes, roster, { ...evidence, delivered: missing }),
      refusal('SECAGG_MESSAGE_INVALID', /no share was delivered/),
    );
    const swapped = evidence.delivered.map((delivery) =>
      delivery.dealer === bob.agentId
        ? { ...delivery, payload: other.bundles.get(bob.agentId)?.payload ?? own.payload }
        : delivery,
    );
    assert.throws(
      () => openCohort(cohortBytes, roster, { ...evidence, delivered: swapped }),
      blames(bob.agentId),
    );
  });

  it('or a base model that differs from site to site leaves a sum that is refused and no vector that opens', async () => {
    const { bundles, cohort } = await dealAll(world);
    const binding = { ...cohort.binding, baseDigest: OTHER_BASE };
    const cohorts = { ...cohort.binding, cohortDigest: OTHER_BASE };
    for (const shown of [binding, cohorts]) {
      const vectors = new Map<string, Vector>();
      for (const party of parties) {
        const seen = party === alice ? { ...cohort, binding: shown } : cohort;
        vectors.set(
          party.agentId,
          encodeVector(party, seen, AGENTS, CLIP, randomInput(new SeededRandom(2), 200, CLIP)),
        );
      }
      const { sum } = await unmask(world, bundles, cohort, vectors);
      assert.throws(
        () => sum.open(ringScale(AGENTS, CLIP), AGENTS),
        refusal('SECAGG_SUM_INVALID', /control/),
      );
      // Not even one word of the sum is right: everything that the coordinator has is random to it.
      const plain = plainSum(vectors.values());
      assert.ok(sum.words.filter((word, index) => word === plain[index]).length <= 1);
    }
  });
});

describe('a survivor set that cheats', () => {
  let bundles: Awaited<ReturnType<typeof dealAll>>['bundles'];
  let cohort: Awaited<ReturnType<typeof dealAll>>['cohort'];
  const ids = parties.map(({ agentId }) => agentId);

  before(async () => {
    ({ bundles, cohort } = await dealAll(world));
  });

  const open = (survivors: readonly string[], more = {}) =>
    openSurvivors(encodeSurvivors(cohort, survivors), roster, cohort, more);
  const signed = (who: typeof parties, survivors: readonly string[]) =>
    who.map(({ agentId, key }) => ({
      agentId,
      message: signSurvivors(ROUND, agentId, cohort, open(survivors), key),
    }));

  it('is refused where it shrinks below the plan or the site, leaves the agent out or names strangers', () => {
    assert.throws(() => open(ids.slice(0, 3)), refusal('SECAGG_TOO_FEW', /3 sites.*needs 4/));
    assert.throws(() => open(ids.slice(0, 4), { minimum: 5 }), refusal('SECAGG_TOO_FEW', /needs 5/));
    assert.throws(
      () => open(ids.slice(1), { self: ids[0] }),
      refusal('SECAGG_MESSAGE_INVALID', /leaves out/),
    );
    const stranger = `agt-${'f'.repeat(32)}`;
    assert.throws(() => open([...ids, stranger]), refusal('SECAGG_MESSAGE_INVALID', /not in the cohort/));
    assert.throws(() => open([...ids, ids[0] ?? '']), refusal('SECAGG_MESSAGE_INVALID', /order/));
  });

  it('needs t signatures of its own members', () => {
    const set = open(ids);
    const all = signed(parties, ids);
    verifySurvivorSet(roster, cohort, set, all.slice(0, 4), alice.agentId);
    assert.throws(() => verifySurvivorSet(roster, cohort, set, all.slice(0, 3)), refusal('SECAGG_TOO_FEW'));
    const [one] = all;
    assert.ok(one);
    assert.throws(
      () => verifySurvivorSet(roster, cohort, set, [one, one, one, one]),
      refusal('SECAGG_TOO_FEW'),
    );
    const other = signed(parties.slice(0, 4), ids.slice(0, 4));
    assert.throws(
      () => verifySurvivorSet(roster, cohort, set, other),
      blames(other[0]?.agentId ?? '', /another survivor set/),
    );
    const forger = signingKeyFromSeed(new Uint8Array(32));
    const forged = { agentId: one.agentId, message: signSurvivors(ROUND, one.agentId, cohort, set, forger) };
    assert.throws(() => verifySurvivorSet(roster, cohort, set, [forged]), blames(one.agentId, /signature/));
  });

  it('gets one kind of share of each peer, and altered or forbidden ones are named', async () => {
    const set = open(ids.slice(0, 4));
    const [dropped] = set.dropped;
    assert.equal(dropped, ids[4]);
    const commitments = new Map(
      [...bundles].map(([dealer, bundle]) => [dealer, verifyShareBundle(roster, dealer, bundle)]),
    );
    const { held } = openDeliveries(
      roster,
      alice.agentId,
      deliveriesTo(world, bundles, alice.agentId),
      alice.secrets.sealSecret,
    );
    const check = (message: ReturnType<typeof signUnmasking>) =>
      verifyUnmaskAnswer(roster, set, commitments, alice.agentId, message);
    const honest = check(signUnmasking(roster, cohort, set, alice.agentId, held, alice.key));
    assert.deepEqual(
      honest.shares.map(({ owner, kind }) => [owner, kind]).sort(),
      ids.map((id) => [id, id === dropped ? 'key' : 'seed']),
    );
    assert.deepEqual(honest.altered, []);
    const refused = new Map([[alice.agentId, []]]);
    const answers = [honest, honest];
    const recovery = await recoverMasks({ roster, cohort, survivors: set, commitments, refused, answers });
    assert.equal(recovery.type === 'Lost' && recovery.error.code, 'SECAGG_TOO_FEW');
    assert.match(recovery.type === 'Lost' ? recovery.error.message : '', /^3 more shares/);

    const base = { formatVersion: 1, survivorsDigest: set.digest } as const;
    const give = (
      seeds: readonly (readonly [string, Uint8Array])[],
      keys: readonly (readonly [string, Uint8Array])[],
    ) => {
      const list = (given: typeof seeds) =>
        given.map(([owner, share]) => ({ owner, share: encodeBase64(share) }));
      return check(
        signStage(
          ROUND,
          'unmask',
          alice.agentId,
          { ...base, seeds: list(seeds), keys: list(keys) },
          alice.key,
        ),
      );
    };
    const ofBob = held.find(({ dealer }) => dealer === bob.agentId);
    assert.ok(ofBob);
    assert.throws(
      () => give([[bob.agentId, ofBob.seedShare]], [[bob.agentId, ofBob.keyShare]]),
      blames(alice.agentId, /keeps secret/),
    );
    assert.throws(() => give([], [[bob.agentId, ofBob.keyShare]]), blames(alice.agentId, /keeps secret/));
    assert.throws(
      () => give([[`agt-${'e'.repeat(32)}`, ofBob.seedShare]], []),
      blames(alice.agentId, /no share/),
    );
    for (let bit = 0; bit < 33 * 8; bit += 7) {
      const altered = give([[bob.agentId, flip(ofBob.seedShare, bit)]], []);
      assert.deepEqual(altered.shares, []);
      assert.deepEqual(altered.altered, [bob.agentId]);
    }
  });

  it('may not be signed by somebody outside', () => {
    const set = open(ids.slice(0, 4));
    const outsider = parties[4];
    assert.ok(outsider);
    const message = signSurvivors(ROUND, outsider.agentId, cohort, set, outsider.key);
    assert.throws(
      () => verifySurvivorSet(roster, cohort, set, [{ agentId: outsider.agentId, message }]),
      blames(outsider.agentId, /not in the set/),
    );
  });
});

describe('a masked vector', () => {
  it('is refused where one bit of the sum of masked words is flipped in a control word or limb', async () => {
    const { bundles, cohort } = await dealAll(world);
    const vectors = new Map(
      parties.map((party) => [
        party.agentId,
        encodeVector(party, cohort, AGENTS, CLIP, randomInput(new SeededRandom(5), 10, CLIP)),
      ]),
    );
    const { sum } = await unmask(world, bundles, cohort, vectors);
    const scale = ringScale(AGENTS, CLIP);
    sum.open(scale, AGENTS);
    sum.words[11] = ((sum.words[11] ?? 0) ^ 1) >>> 0;
    assert.throws(() => sum.open(scale, AGENTS), refusal('SECAGG_SUM_INVALID'));
  });

  it('looks random: its words pass a chi-squared test of their bytes', async () => {
    const { cohort } = await dealAll(world);
    const zero = { delta: new Float32Array(60_000), tail: new Float32Array(TAIL) };
    const { masked } = encodeVector(alice, cohort, AGENTS, CLIP, zero);
    const counts = new Float64Array(256);
    for (const byte of masked) counts[byte] = (counts[byte] ?? 0) + 1;
    const mean = masked.length / 256;
    const chi = counts.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0);
    // 255 degrees of freedom: six standard deviations are 136.
    assert.ok(Math.abs(chi - 255) < 136, String(chi));
    assert.ok(
      sumOf(
        { parameters: 60_000, tail: TAIL },
        new Map([['one', { masked, plain: new Uint32Array(0) }]]),
      ).words.some((word) => word !== 0),
    );
  });
});
