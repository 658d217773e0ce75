import assert from 'node:assert/strict';

import { LIMITS, requirePlan } from '@tributary/proto';

import { STAGES } from '../../support/secure-site.js';
import { SecureWorld } from '../../support/secure-world.js';

const SITES = 120;
const DROPOUTS = 10;

describe('a secure round of more sites than the complete graph takes', function () {
  this.timeout(400_000);

  it('makes exactly the model of the plain sum on a k-regular graph, with dropouts in every stage', async () => {
    assert.ok(SITES > LIMITS.completeGraphAgents);
    const plan = requirePlan({ agents: SITES, minimum: 2 });
    assert.equal(plan.topology.type, 'KRegular');
    assert.ok(plan.dropouts >= DROPOUTS);
    const secure = await SecureWorld.begin(SITES);
    secure.patienceMs = 380_000;
    for (let index = 0; index < DROPOUTS; index += 1)
      secure.site(index * 11).silent.set('1.0', STAGES[index % STAGES.length] ?? 'mask');
    await secure.requirePlainModel();
    const [opened] = await secure.world.entries('round.opened');
    assert.equal(opened?.body.secure?.neighbours, plan.topology.neighbours);
    const [committed] = await secure.world.entries('round.committed');
    // Two of ten left before each of the first three stages.
    assert.equal(committed?.body.reporting.length, SITES - 6);
    assert.equal(committed.body.culprits, undefined);
  });
});
