import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';

import { median } from '../bench/bench-case.js';
import { endure, ofQuarter } from '../bench/endurance.js';
import { fateOf } from '../bench/endurance-fate.js';

const [AGENTS, ROUNDS, DROPOUT] = [10, 20, 0.2];

/** Descriptors that come and go: a file that is just being read, a connection that is just being replaced. */
const PASSING = 4;

describe('twenty rounds with agents that fail, hang and leave', function () {
  this.timeout(300_000);

  it('commits every round once and holds no more at the end than in the middle', async () => {
    const endured = await endure(tmpdir(), {
      ...{ agents: AGENTS, rounds: ROUNDS, dropout: DROPOUT },
      note: () => undefined,
    });
    const handles = (quarter: number): number =>
      median(ofQuarter(endured, quarter).map((sample) => sample.handles));
    assert.ok(
      handles(3) <= handles(1) + PASSING,
      `${String(handles(1))}, then ${String(handles(3))} handles`,
    );
    const told = endured.entries.filter((entry) => entry.type === 'site.declined').length;
    assert.ok(told > 0, 'nobody dropped out');
    assert.ok(endured.accepted >= ROUNDS * AGENTS * (1 - 2 * DROPOUT), `${String(endured.accepted)} updates`);
  });

  it('loses a part of the sites in each round, in every way, and each site now and then', () => {
    const fates = Array.from({ length: 30 }, (_, round) =>
      Array.from({ length: AGENTS }, (_site, site) => fateOf(site, round, AGENTS, DROPOUT)),
    );
    for (const round of fates) assert.equal(round.filter((fate) => fate !== 'works').length, 2);
    assert.deepEqual([...new Set(fates.flat())].sort(), ['fails', 'hangs', 'leaves', 'works']);
    for (let site = 0; site < AGENTS; site += 1) assert.ok(fates.some((round) => round[site] !== 'works'));
  });
});
