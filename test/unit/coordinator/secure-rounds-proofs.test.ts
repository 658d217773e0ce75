import assert from 'node:assert/strict';

import { SECURE_WIRE_VERSION, signStage, type StagePayload } from '@tributary/proto';

import { dealsUncombinable } from '../../support/dishonest-site.js';
import { Power } from '../../support/power.js';
import { SecureWorld } from '../../support/secure-world.js';

/** n=5: t=4, one colluder, one dropout. */
const SITES = 5;

/** Site 1 makes the first attempt impossible after the others helped to unmask it. */
async function cheated(power?: Power): Promise<SecureWorld> {
  const secure = await SecureWorld.begin(SITES, { rounds: 1 }, power);
  dealsUncombinable(secure, secure.site(1), 3);
  return secure;
}

const kept = async (secure: SecureWorld): Promise<readonly string[]> =>
  (await secure.world.vault.list()).filter((name) => name.startsWith('proofs.'));

/** Runs until that change of a store, with which the coordinator ends; another process goes on. */
async function killedAt(failAt: number): Promise<SecureWorld> {
  const power = new Power(failAt);
  const secure = await cheated(power);
  await secure
    .until('the power to fail', () => power.off || secure.job.phase === 'Complete' || undefined)
    .catch((error: unknown) => {
      if (!power.off) throw error;
    });
  assert.ok(power.off, `no change ${String(failAt)}`);
  await secure.crash();
  return secure;
}

describe('proofs of bad dealing', function () {
  this.timeout(180_000);

  it('outlive the coordinator until the round is over, and no longer', async () => {
    const secure = await cheated();
    await secure.until('the failure', () => secure.job.lastFailure);
    assert.equal((await kept(secure)).length, 1);
    await secure.crash();
    await secure.requirePlainModel('1.1');
    assert.deepEqual(await kept(secure), []);
    const failed = await secure.world.entries('round.failed');
    assert.equal(failed.length, 1);
  });

  it('are there for the next attempt wherever the coordinator ends around the failure', async () => {
    const power = new Power();
    const secure = await cheated(power);
    let [before, after] = [0, 0];
    secure.world.federation.subscribe((entries) => {
      for (const { type, body } of entries)
        if (type === 'stage.closed' && body.stage === 'unmask' && body.attempt === 0) before = power.calls;
        else if (type === 'round.opened') after = power.calls;
    });
    await secure.requirePlainModel('1.1');
    const failed = await secure.world.entries('round.failed');
    assert.equal(failed.length, 1);
    assert.ok(after - before >= 2, `${String(before)} to ${String(after)}`);
    for (let failAt = before + 1; failAt <= after; failAt += 1) {
      const killed = await killedAt(failAt);
      await killed.requirePlainModel('1.1');
      const failed = await killed.world.entries('round.failed');
      assert.equal(failed.length, 1, `at change ${String(failAt)}`);
      assert.deepEqual(await kept(killed), []);
    }
  });

  it('of another attempt prove nothing of this one, and do not stop the next', async () => {
    const secure = await cheated();
    const cheat = secure.site(1).agent;
    let stale = 0;
    for (const site of secure.sites.values())
      site.tamper = (stage, result) => {
        const [proof] = result.records;
        if (stage !== 'mask' || proof === undefined) return result;
        stale += 1;
        // What the same dealer signed in an attempt that this site did not help to unmask.
        const bound = {
          ...{ wire: SECURE_WIRE_VERSION, logId: secure.world.federation.logId },
          ...{ jobId: secure.jobId, round: 1, attempt: 7 },
        };
        const payload = JSON.parse(Buffer.from(proof.payload).toString()) as StagePayload<'share'>;
        const signed = signStage(bound, 'share', cheat.agentId, payload, cheat.identity);
        return { ...result, records: [{ ...proof, ...signed }, ...result.records] };
      };
    await secure.requirePlainModel('1.1');
    assert.ok(stale > 0);
    assert.deepEqual(
      [...secure.sites.values()].flatMap(({ refusals }) => refusals.map(({ code }) => code)),
      [],
    );
  });
});
