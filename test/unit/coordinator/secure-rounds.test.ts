import assert from 'node:assert/strict';

import { requirePlan } from '@tributary/proto';
import fc from 'fast-check';

import { SecureWorld } from '../../support/secure-world.js';
import { STAGES, type Stage } from '../../support/secure-site.js';

/** Sites that say nothing from a stage on, one for each. */
async function runWithout(count: number, silent: readonly Stage[]): Promise<SecureWorld> {
  const secure = await SecureWorld.begin(count);
  for (const [index, stage] of silent.entries()) secure.site(index).silent.set('1.0', stage);
  return secure;
}

describe('rounds of secure aggregation', function () {
  this.timeout(60_000);

  it('make exactly the model of the plain sum of what the sites rounded', async () => {
    for (const count of [3, 4, 7]) {
      const secure = await SecureWorld.begin(count);
      await secure.requirePlainModel();
      const [committed] = await secure.world.entries('round.committed');
      assert.equal(committed?.body.reporting.length, count);
    }
  });

  for (const stage of STAGES)
    it(`lose nothing to a site that drops out before ${stage}`, async () => {
      const secure = await runWithout(4, [stage]);
      await secure.requirePlainModel();
    });

  it('lose nothing to dropouts in several stages, down to the threshold', async () => {
    // n=10: t=7; three may go, wherever they go.
    const combinations: readonly (readonly Stage[])[] = [
      ['advertise', 'share', 'mask'],
      ['share', 'mask', 'agree'],
      ['mask', 'agree', 'unmask'],
      ['advertise', 'mask', 'unmask'],
      ['mask', 'mask', 'mask'],
      ['unmask', 'unmask', 'unmask'],
    ];
    for (const silent of combinations) await (await runWithout(10, silent)).requirePlainModel();
  });

  it('lose nothing to as many dropouts as the plan allows, whichever stages they leave in', async () => {
    const anyRun = fc.integer({ min: 4, max: 10 }).chain((count) => {
      const { dropouts } = requirePlan({ agents: count, minimum: 2 });
      const stages = fc.array(fc.constantFrom(...STAGES), { minLength: dropouts, maxLength: dropouts });
      return stages.map((silent) => ({ count, silent }));
    });
    await fc.assert(
      fc.asyncProperty(anyRun, async ({ count, silent }) => {
        await (await runWithout(count, silent)).requirePlainModel();
      }),
      { numRuns: 8 },
    );
  });

  it('follow each other to the evaluation, each with keys of its own, and leave nothing behind', async () => {
    const secure = await SecureWorld.begin(4, { rounds: 2, evaluation: { metrics: ['auc'] } });
    secure.site(3).silent.set('3.0', 'mask');
    const job = await secure.finished();
    assert.equal(job.phase, 'Complete', JSON.stringify(job.lastFailure));
    await secure.requireClean();
    const committed = await secure.world.entries('round.committed');
    assert.deepEqual(
      committed.map(({ body }) => body.reporting.length),
      [4, 4, 3],
    );
    assert.ok(Number(committed[2]?.body.metrics['auc']) > 0);
    const keys = [1, 2, 3].map((round) => {
      const said = secure.site(0).said.get(`${secure.jobId}/${String(round)}/0/advertise`);
      return (JSON.parse(Buffer.from(said?.payload ?? []).toString()) as { maskKey: string }).maskKey;
    });
    assert.equal(new Set(keys).size, 3);
  });

  for (const stage of STAGES)
    it(`fail an attempt that loses one more before ${stage}, and the next one works with fresh keys`, async () => {
      const secure = await runWithout(4, [stage, stage]);
      await secure.requirePlainModel('1.1');
      const [failed] = await secure.world.entries('round.failed');
      assert.equal(failed?.body.code, 'ROUND_UNDERSUBSCRIBED');
      const { said } = secure.site(3);
      const keys = [0, 1].map(
        (attempt) => said.get(`${secure.jobId}/1/${String(attempt)}/advertise`)?.payload,
      );
      assert.ok(keys[0] !== undefined && keys[1] !== undefined);
      assert.notDeepEqual(keys[0], keys[1]);
    });
});
