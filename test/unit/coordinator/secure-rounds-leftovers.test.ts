import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';

import { STAGES } from '../../support/secure-site.js';
import { SecureWorld } from '../../support/secure-world.js';

const attempts = async (secure: SecureWorld): Promise<readonly string[]> =>
  (await secure.site(0).records.rounds()).map(({ round, attempt }) => `${String(round)}.${String(attempt)}`);

describe('what a site holds of secure rounds whose end it never hears', function () {
  this.timeout(30_000);

  it('goes when the next attempt or round comes, and the rest when it starts after the end of the job', async () => {
    const secure = await SecureWorld.begin(4, { rounds: 2 });
    const site = secure.site(0);
    site.deaf = true;
    for (const index of [2, 3]) secure.site(index).silent.set('1.0', 'mask');
    await secure.finished();
    const opened = await secure.world.entries('round.opened');
    assert.deepEqual(
      opened.map(({ body }) => `${String(body.round)}.${String(body.attempt)}`),
      ['1.0', '1.1', '2.0'],
    );
    assert.deepEqual(await attempts(secure), ['2.0']);
    await site.start();
    assert.deepEqual(await attempts(secure), ['2.0'], 'it has not heard of the end of the job');
    await site.start((jobId) => jobId === secure.jobId);
    assert.deepEqual(await attempts(secure), []);
  });

  it('goes with the time, but never while the round is open', async () => {
    const secure = await SecureWorld.begin(4);
    const site = secure.site(0);
    site.deaf = true;
    for (const stage of STAGES.slice(0, -1)) {
      await secure.until(stage, () => secure.job.round?.stages.find(({ name }) => name === stage)?.closedSeq);
      await secure.until('rest', () => (site.busy ? undefined : true));
      await site.start();
    }
    await secure.finished();
    assert.deepEqual(await attempts(secure), ['1.0']);
    await secure.world.training.stop();
    secure.world.advance(LIMITS.secureRoundKeptMs + 1);
    await site.start();
    assert.deepEqual(await attempts(secure), []);
  });

  it('is asked for no second proof where an answer is stored', async () => {
    const secure = await SecureWorld.begin(4);
    const site = secure.site(0);
    secure.site(1).silent.set('1.0', 'share');
    await secure.until('its shares', () => site.message('share'));
    await secure.until('its rest', () => (site.busy ? undefined : true));
    const before = site.proofs;
    await site.take(site.agent.orders.at(-1) ?? assert.fail());
    assert.equal(site.proofs, before);
    await secure.world.close();
  });
});
