import assert from 'node:assert/strict';

import { requirePlan } from '@tributary/proto';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';
import { SeededRandom } from '../../support/seeded-random.js';
import {
  createWorld,
  dealAll,
  encodeVector,
  plainSum,
  randomInput,
  unmask,
  type Vector,
} from './secure-cohort.js';

const CLIP = 8;

/** Sites that leave: before advertising, before sharing, before masking, before the last stage. */
interface Departures {
  readonly advertise: number;
  readonly share: number;
  readonly mask: number;
  readonly unmask: number;
}

async function runRound(agents: number, seed: number, gone: Departures, length: number) {
  const random = new SeededRandom(seed);
  const places = Array.from({ length: gone.advertise }, (_, index) => (index * 7 + seed) % agents);
  const world = createWorld({ agents }, seed, new Set(places));
  const order = [...world.parties].sort(() => random.uint32() / 2 ** 31 - 1);
  const take = (count: number) => new Set(order.splice(0, count).map(({ agentId }) => agentId));
  const { bundles, cohort } = await dealAll(world, take(gone.share));
  const late = take(gone.mask);
  const vectors = new Map<string, Vector>();
  for (const party of world.parties) {
    if (!cohort.has(party.agentId) || late.has(party.agentId)) continue;
    const input = randomInput(random, length, CLIP);
    vectors.set(party.agentId, encodeVector(party, cohort, agents, CLIP, input, 1 + random.below(5_000)));
  }
  const silent = take(gone.unmask);
  return { world, vectors, result: await unmask(world, bundles, cohort, vectors, silent) };
}

/** A cohort and departures in all stages that together stay within the threshold. */
const scenario = fc.integer({ min: 3, max: 20 }).chain((agents) => {
  const { dropouts } = requirePlan({ agents });
  return fc.record({
    agents: fc.constant(agents),
    seed: fc.integer({ min: 1, max: 1_000_000 }),
    length: fc.integer({ min: 0, max: 36_000 }),
    leaving: fc.array(fc.constantFrom('share', 'mask', 'unmask'), { maxLength: dropouts }),
  });
});

const counted = (leaving: readonly string[]): Departures => ({
  advertise: 0,
  share: leaving.filter((stage) => stage === 'share').length,
  mask: leaving.filter((stage) => stage === 'mask').length,
  unmask: leaving.filter((stage) => stage === 'unmask').length,
});

describe('a secure round', function () {
  this.timeout(120_000);

  it('unmasks to the plain sum of the rounded updates bit for bit, whoever drops out wherever', async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ agents, seed, length, leaving }) => {
        const { vectors, result } = await runRound(agents, seed, counted(leaving), length);
        assert.deepEqual(result.sum.words, plainSum(vectors.values()));
      }),
      { numRuns: 25 },
    );
  });

  it('survives as many dropouts as planned in each stage alone', async () => {
    for (const agents of [3, 10]) {
      const { dropouts } = requirePlan({ agents });
      const none = { advertise: 0, share: 0, mask: 0, unmask: 0 };
      for (const stage of ['advertise', 'share', 'mask', 'unmask'] as const) {
        const { vectors, result } = await runRound(agents, 5, { ...none, [stage]: dropouts }, 100);
        assert.deepEqual(result.sum.words, plainSum(vectors.values()), `${stage}, ${String(agents)} agents`);
      }
    }
  });

  it('refuses one dropout more in each stage', async () => {
    for (const agents of [3, 10, 17]) {
      const { dropouts } = requirePlan({ agents });
      const none = { advertise: 0, share: 0, mask: 0, unmask: 0 };
      for (const stage of ['advertise', 'share', 'mask', 'unmask'] as const) {
        const gone = { ...none, [stage]: dropouts + 1 };
        await assert.rejects(
          runRound(agents, 5, gone, 10),
          refusal('SECAGG_TOO_FEW'),
          `${stage}, ${String(agents)}`,
        );
      }
    }
  });

  it('works on a k-regular graph', async () => {
    const gone = { advertise: 0, share: 3, mask: 4, unmask: 3 };
    const { world, vectors, result } = await runRound(101, 9, gone, 50);
    assert.equal(world.roster.roster.plan.topology.type, 'KRegular');
    assert.deepEqual(result.sum.words, plainSum(vectors.values()));
  });
});
