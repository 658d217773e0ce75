import assert from 'node:assert/strict';

import { Power } from '../../support/power.js';
import { SecureWorld } from '../../support/secure-world.js';
import { STAGES } from '../../support/secure-site.js';

/** Runs a job whose coordinator loses power at that change of a store; another process goes on. */
async function runUntil(failAt: number): Promise<{ calls: number; failed: boolean; secure: SecureWorld }> {
  const power = new Power(failAt);
  const secure = await SecureWorld.begin(3, {}, power);
  try {
    await secure.until('the end, or a power failure', () =>
      power.off || secure.job.phase === 'Complete' ? true : undefined,
    );
  } catch (error) {
    if (!power.off) throw error;
  }
  const failed = power.off;
  if (failed) await secure.crash();
  await secure.requirePlainModel();
  return { calls: power.calls, failed, secure };
}

describe('recovery of secure rounds', function () {
  this.timeout(120_000);

  it('announces the same and makes the same model wherever the coordinator ends', async () => {
    const { calls } = await runUntil(0);
    assert.ok(calls > 40, `${String(calls)} changes`);
    let failures = 0;
    for (let failAt = 1; failAt <= calls; failAt += 1) {
      const { failed, secure } = await runUntil(failAt);
      failures += Number(failed);
      const failedRounds = await secure.world.entries('round.failed');
      assert.deepEqual(failedRounds, [], `a round was lost at change ${String(failAt)}`);
      for (const type of ['stage.closed', 'update.accepted', 'stage.message'] as const) {
        const entries = await secure.world.entries(type);
        const expected = { 'stage.closed': 5, 'update.accepted': 3, 'stage.message': 12 }[type];
        assert.equal(entries.length, expected, `${type} at change ${String(failAt)}`);
      }
      assert.deepEqual(await secure.world.spools.list(), [], `spools left at change ${String(failAt)}`);
      assert.deepEqual(await secure.world.checkpoints.list(), [], `at change ${String(failAt)}`);
    }
    assert.ok(failures > calls - 8, `${String(failures)} of ${String(calls)} runs were cut off`);
  });

  for (const stage of STAGES) {
    it(`goes on where an agent starts anew before ${stage}`, async () => {
      const secure = await SecureWorld.begin(3);
      for (const site of secure.sites.values())
        site.before = (next) => {
          if (next === stage) site.restart();
        };
      await secure.requirePlainModel();
      assert.equal((await secure.world.entries('round.failed')).length, 0);
    });

    it(`loses no round to an agent that starts without what it kept before ${stage}`, async () => {
      const secure = await SecureWorld.begin(4);
      const site = secure.site(0);
      let lost = false;
      site.before = (next) => {
        if (next !== stage || lost) return;
        lost = true;
        site.restart(true);
      };
      await secure.requirePlainModel();
      assert.ok(lost);
      assert.equal((await secure.world.entries('round.failed')).length, 0);
      const codes = site.refusals.map(({ code }) => code);
      // Before the first stage nothing was kept that could be lost.
      assert.deepEqual(codes, stage === 'advertise' ? [] : ['SECAGG_STAGE_PASSED']);
      const [declined] = await secure.world.entries('site.declined');
      assert.equal(declined?.body.code, stage === 'advertise' ? undefined : 'SECAGG_STAGE_PASSED');
    });
  }

  it('keeps the announced sets where coordinator and agents start anew between any two stages', async () => {
    const secure = await SecureWorld.begin(3);
    for (const [index] of STAGES.entries()) {
      await secure.until(`stage ${String(index)}`, () =>
        (secure.job.round?.stage ?? 0) >= index ? true : undefined,
      );
      for (const site of secure.sites.values()) site.restart();
      await secure.crash();
    }
    await secure.requirePlainModel();
  });
});
