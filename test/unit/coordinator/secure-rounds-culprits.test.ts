import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';

import type { EntryBody } from '@tributary/proto';
import { absentSites } from '@tributary/coordinator/internal/domain/site-readiness.js';

import {
  altersShares,
  dealsUncombinable,
  dealsUnopenable,
  slanders,
  unmasksNothing,
} from '../../support/dishonest-site.js';
import type { SecureSite } from '../../support/secure-site.js';
import { SecureWorld } from '../../support/secure-world.js';

/** n=5: t=4, one colluder, one dropout. */
const SITES = 5;

type Culprits = EntryBody<'round.failed'>['culprits'];
type Cheat = (secure: SecureWorld, site: SecureSite) => void;

const CULPRIT = 'site-1';
const named = (stage: string, reason: string): Culprits => [{ site: CULPRIT, stage, reason }];

async function cheated(cheat: Cheat, rounds = 1): Promise<SecureWorld> {
  const secure = await SecureWorld.begin(SITES, { rounds });
  cheat(secure, secure.site(1));
  return secure;
}

describe('a secure round with a dishonest site', function () {
  this.timeout(60_000);

  const harmless: readonly (readonly [title: string, cheat: Cheat, ...culprits: Culprits[]])[] = [
    ['gives other shares than it was dealt', altersShares, named('unmask', 'ShareAltered')],
    ['answers the last stage with nothing', unmasksNothing, named('unmask', 'SharesWithheld')],
    ['refuses the shares of everybody', slanders, named('agree', 'SharesRefused')],
    [
      'deals one share that fits no other',
      (secure, site) => dealsUncombinable(secure, site, 1),
      named('share', 'SharesDoNotCombine'),
      // Where t others answered before its holder, nothing combined it, and nobody knows.
      undefined,
    ],
    ['deals one share that does not open', (secure, site) => dealsUnopenable(secure, site, 1), undefined],
  ];
  for (const [title, cheat, ...culprits] of harmless)
    it(`commits where the site ${title}: t others are enough`, async () => {
      const secure = await cheated(cheat);
      await secure.requirePlainModel();
      const [committed, more] = await secure.world.entries('round.committed');
      assert.ok(committed !== undefined);
      const found = committed.body.culprits;
      assert.ok(
        culprits.some((one) => isDeepStrictEqual(found, one)),
        JSON.stringify(found),
      );
      assert.equal(committed.body.reporting.length, SITES);
      assert.equal(more, undefined);
    });

  for (const count of [2, 4])
    it(`fails before anything is unmasked where the site deals ${String(count)} shares that do not open, and goes on without it`, async () => {
      const secure = await cheated((world, site) => dealsUnopenable(world, site, count));
      await secure.requirePlainModel('1.1');
      const [failed] = await secure.world.entries('round.failed');
      assert.equal(failed?.body.code, 'SECAGG_TOO_FEW');
      assert.match(failed.body.detail, /shares of site-1/);
      assert.deepEqual(failed.body.culprits, named('share', 'SharesDoNotOpen'));
      assert.equal(secure.site(0).message('unmask'), undefined);
      const [, second] = await secure.world.entries('round.opened');
      assert.deepEqual(
        second?.body.cohort.map(({ site }) => site),
        ['site-0', 'site-2', 'site-3', 'site-4'],
      );
    });

  for (const [kind, leaves] of [
    ['seed', false],
    ['mask key', true],
  ] as const)
    it(`fails where the shares of its ${kind} do not combine, and goes on without it over the proof`, async () => {
      const secure = await cheated((world, site) => dealsUncombinable(world, site, 3));
      if (leaves) secure.site(1).silent.set('1.0', 'mask');
      await secure.requirePlainModel('1.1');
      const [failed] = await secure.world.entries('round.failed');
      assert.equal(failed?.body.code, 'SECAGG_MESSAGE_INVALID');
      assert.deepEqual(failed.body.culprits, named('share', 'SharesDoNotCombine'));
      // Its sum was to be unmasked already.
      assert.ok(secure.site(0).message('unmask') !== undefined);
      const [committed] = await secure.world.entries('round.committed');
      assert.equal(committed?.body.reporting.length, SITES - 1);
    });

  it('leaves out dealer and holder where a share costs the round and one of them lies', async () => {
    const secure = await cheated((world, site) => dealsUnopenable(world, site, 1));
    // It takes its own share with it: three of the four that are needed are left.
    secure.site(1).silent.set('1.0', 'mask');
    await secure.requirePlainModel('1.1');
    const [failed] = await secure.world.entries('round.failed');
    const [dealer, holder, more] = failed?.body.culprits ?? [];
    assert.deepEqual(dealer, { site: CULPRIT, stage: 'share', reason: 'SharesDisputed' });
    assert.equal(holder?.reason, 'SharesDisputed');
    assert.equal(more, undefined);
    const [, second] = await secure.world.entries('round.opened');
    const out = [CULPRIT, holder.site];
    assert.deepEqual(
      second?.body.cohort.map(({ site }) => site),
      [...secure.sites.keys()].filter((site) => !out.includes(site)),
    );
  });

  it('has the site sit one attempt out, and leaves it out of the job the second time', async () => {
    const secure = await cheated(altersShares, 4);
    const job = await secure.finished();
    assert.equal(job.phase, 'Complete');
    const opened = await secure.world.entries('round.opened');
    assert.deepEqual(
      opened.map(({ body }) => body.cohort.some(({ site }) => site === CULPRIT)),
      [true, false, true, false],
    );
    assert.match(
      absentSites(job, 0).get(CULPRIT) ?? '',
      /is left out of the job: ShareAltered in stage unmask of round 3/,
    );
    await secure.requireClean();
  });

  it('says the same of it after a crash of the coordinator', async () => {
    const secure = await cheated(altersShares);
    await secure.until('an answer', () => secure.site(0).message('unmask'));
    await secure.crash();
    await secure.requirePlainModel();
    const [committed] = await secure.world.entries('round.committed');
    assert.deepEqual(committed?.body.culprits, named('unmask', 'ShareAltered'));
  });
});
