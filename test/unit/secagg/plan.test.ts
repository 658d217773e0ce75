import assert from 'node:assert/strict';

import {
  describePlan,
  planSecureAggregation,
  requirePlan,
  type SecureAggregationDemand,
} from '@tributary/proto';
import { neighbourhoods } from '@tributary/proto/internal/secagg/neighbourhoods.js';
import { REGULAR_FAILURES } from '@tributary/proto/internal/secagg/regular-plan.js';
import { hypergeometric, upperTail } from '@tributary/proto/internal/secagg/tail-bounds.js';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';
import { SeededRandom } from '../../support/seeded-random.js';

const LINES: readonly (readonly [SecureAggregationDemand, string])[] = [
  [{ agents: 3 }, 'n=3: t=2, no colluder, one dropout'],
  [{ agents: 3, adversary: 'Active' }, 'n=3 against an active coordinator: no dropout (t=3, one colluder)'],
  [{ agents: 10 }, 'n=10: t=7, three colluders, three dropouts'],
  [{ agents: 1_000 }, 'n=1000: k=52, t=28, 100 colluders, 100 dropouts'],
];

describe('planning secure aggregation', () => {
  for (const [demand, line] of LINES) it(line, () => assert.equal(describePlan(requirePlan(demand)), line));

  it('refuses with the reason', () => {
    const reason = (demand: SecureAggregationDemand): string => {
      const result = planSecureAggregation(demand);
      return result.type === 'Refused' ? result.reason : 'Planned';
    };
    assert.equal(reason({ agents: 2 }), 'TooFewSites');
    assert.equal(reason({ agents: 4_097 }), 'TooManySites');
    assert.equal(reason({ agents: 3, colluders: 2 }), 'TooManyColluders');
    assert.equal(reason({ agents: 10, colluders: 3, dropouts: 4 }), 'TooManyDropouts');
    assert.equal(reason({ agents: 10, colluders: 3, threshold: 6 }), 'ThresholdUnsafe');
    assert.equal(reason({ agents: 10, minimum: 11 }), 'MinimumAboveCohort');
    assert.equal(reason({ agents: 101, adversary: 'Active' }), 'ActiveNeedsCompleteGraph');
    assert.equal(reason({ agents: 1_000, colluders: 900, dropouts: 50 }), 'TooManyColluders');
    assert.throws(() => requirePlan({ agents: 2 }), refusal('SECAGG_IMPOSSIBLE', /3 are needed/));
    assert.throws(() => planSecureAggregation({ agents: 3.5 }), refusal('INVALID_ARGUMENT', /agents/));
  });

  it('plans on the complete graph only where 2t > n + c and two honest sites stay', () => {
    const demand = fc.record(
      {
        agents: fc.integer({ min: 0, max: 100 }),
        colluders: fc.integer({ min: 0, max: 100 }),
        dropouts: fc.integer({ min: 0, max: 100 }),
        threshold: fc.integer({ min: 0, max: 101 }),
        minimum: fc.integer({ min: 0, max: 101 }),
        adversary: fc.constantFrom('Active' as const, 'HonestButCurious' as const),
      },
      { requiredKeys: ['agents'] },
    );
    fc.assert(
      fc.property(demand, (asked) => {
        const result = planSecureAggregation(asked);
        if (result.type === 'Refused') return;
        const { agents, threshold, colluders, dropouts, survivors } = result.plan;
        assert.ok(2 * threshold > agents + colluders);
        assert.ok(survivors >= Math.max(threshold, colluders + 2, asked.minimum ?? 0));
        assert.equal(dropouts, agents - survivors);
        assert.ok(dropouts >= (asked.dropouts ?? 0) && colluders >= (asked.colluders ?? 0));
      }),
      { numRuns: 2_000 },
    );
  });

  it('bounds the failures of the k-regular graph, and one neighbour pair less would not do', () => {
    // P[28 of 52 neighbours collude] with 100 of 999: 1.6149e-16 by scipy.stats.hypergeom.
    const tail = upperTail(hypergeometric(999, 100, 52), 28);
    assert.ok(Math.abs(tail / 1.6148902972351785e-16 - 1) < 1e-9);
    assert.ok(1_000 * tail < REGULAR_FAILURES.privacy);
    assert.ok(1_000 * upperTail(hypergeometric(999, 100, 52), 27) > REGULAR_FAILURES.privacy);
    const lost = upperTail(hypergeometric(999, 100, 52), 52 - 28 + 1);
    assert.ok(1_000 * lost < REGULAR_FAILURES.correctness);
    const total = hypergeometric(999, 100, 52).reduce((sum, p) => sum + p, 0);
    assert.ok(Math.abs(total - 1) < 1e-12);
  });
});

describe('the k-regular graph', () => {
  const ids = (count: number): string[] =>
    Array.from({ length: count }, (_, index) => `agt-${index.toString(16).padStart(32, '0')}`);

  it('is regular, symmetric and connected, and follows from its seed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 150 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 1_000_000 }),
        (count, half, seed) => {
          fc.pre(2 * half < count - 1);
          const agents = ids(count);
          const bytes = new SeededRandom(seed).bytes(32);
          const graph = neighbourhoods({ type: 'KRegular', neighbours: 2 * half }, agents, bytes);
          const again = neighbourhoods({ type: 'KRegular', neighbours: 2 * half }, agents, bytes);
          const reached = new Set([agents[0] ?? '']);
          for (const agent of reached) for (const other of graph.neighboursOf(agent)) reached.add(other);
          assert.equal(reached.size, count);
          for (const agent of agents) {
            const near = graph.neighboursOf(agent);
            assert.deepEqual(near, again.neighboursOf(agent));
            assert.deepEqual(near, graph.holdersOf(agent));
            assert.equal(new Set(near).size, 2 * half);
            assert.ok(!near.includes(agent));
            assert.ok(near.every((other) => graph.neighboursOf(other).includes(agent)));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('places the agents differently for another seed', () => {
    const topology = { type: 'KRegular' as const, neighbours: 6 };
    const [one, two] = [1, 2].map((seed) =>
      neighbourhoods(topology, ids(50), new SeededRandom(seed).bytes(32)),
    );
    assert.notDeepEqual(one?.neighboursOf(ids(1)[0] ?? ''), two?.neighboursOf(ids(1)[0] ?? ''));
    assert.throws(() => one?.neighboursOf('agt-x'), refusal('NOT_IN_COHORT'));
  });

  it('gives everybody a share of everybody on the complete graph, its own too', () => {
    const graph = neighbourhoods({ type: 'Complete' }, ids(5), new Uint8Array(32));
    assert.deepEqual(graph.holdersOf(ids(1)[0] ?? ''), ids(5));
    assert.deepEqual(graph.neighboursOf(ids(1)[0] ?? ''), ids(5).slice(1));
  });
});
