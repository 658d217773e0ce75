import assert from 'node:assert/strict';

import { SecureWorld } from '../../support/secure-world.js';

const HELD = 'site-3';

/** n=4: t=3, one colluder, one dropout. */
const begin = (): Promise<SecureWorld> =>
  SecureWorld.begin(4, { rounds: 1, evaluation: { metrics: ['auc'], holdOutSite: HELD } });

describe('a site that is held out of training, in a secure round', function () {
  this.timeout(60_000);

  it('adds nothing to a sum, and so hides nobody in it', async () => {
    const secure = await begin();
    // Three are left, as many as unmask; of two updates each site would know the other.
    secure.site(1).silent.set('1.0', 'mask');
    const refused = await secure.until('a refusal', () => secure.site(0).refusals.at(0));
    assert.equal(refused.code, 'SECAGG_TOO_FEW');
    assert.match(refused.message, /2 sites that count would be in the sum; the site asks for 3/);
    assert.equal(secure.site(0).message('agree'), undefined);
    assert.equal((await secure.finished()).phase, 'Complete');
    const [failed] = await secure.world.entries('round.failed');
    assert.match(failed?.body.detail ?? '', /SECAGG_TOO_FEW/);
    const [committed] = await secure.world.entries('round.committed');
    assert.deepEqual([committed?.body.attempt, committed?.body.reporting.length], [1, 4]);
  });

  it('is no obstacle where enough others are in the sum', async () => {
    const secure = await begin();
    await secure.until('the commit', () => secure.site(0).message('unmask'));
    assert.deepEqual(
      [...secure.sites.values()].flatMap(({ refusals }) => refusals),
      [],
    );
  });
});
