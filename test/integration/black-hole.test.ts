import assert from 'node:assert/strict';
import { join } from 'node:path';

import { LIMITS } from '@tributary/proto';

import { LocalFederation } from '../support/federation.js';
import { FlakyProxy } from '../support/flaky-proxy.js';
import { Operator } from '../support/operator.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

/** A line that swallows everything: no end of a connection ever arrives, at either side. */
describe('an agent behind a line that has become a hole', function () {
  this.timeout(240_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let operator: Operator;
  let proxy: FlakyProxy;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    proxy = await FlakyProxy.start();
    federation = await LocalFederation.start(join(directory.path, 'federation'), 'hole');
    operator = await Operator.of(federation);
    const site = (name: string, seed: number, config = {}) =>
      federation.addSite({ name, csv: pointsOf(seed, 80).csv, dataset: 'points', config });
    await site('near', 1);
    await site('far', 2, { proxy: { url: proxy.url } });
  });
  afterEach(async () => {
    operator.close();
    await federation.stop();
    await proxy.stop();
    await directory.remove();
  });

  const isConnected = async (name: string): Promise<boolean> => {
    const { status } = (await federation.object(`site/${name}`)) as {
      status: { conditions: { type: string; status: string }[] };
    };
    return status.conditions.some(({ type, status: is }) => type === 'Connected' && is === 'True');
  };

  it('is noticed, loses its place at the deadline without harm to the round, and rejoins by itself', async () => {
    await eventually('both sites', async () =>
      (await isConnected('far')) && (await isConnected('near')) ? true : undefined,
    );
    const { spec } = pointsJob('points');
    const training = { ...spec.training, epochs: 400 };
    await operator.apply(pointsJob('points', { rounds: 2, minSites: 1, roundDeadlineSeconds: 30, training }));
    const { cohort } = (await operator.event('points', 'round.opened')) as { cohort: unknown[] };
    assert.equal(cohort.length, 2);
    proxy.hole = true;
    await eventually(
      'the coordinator to notice',
      async () => ((await isConnected('far')) ? undefined : true),
      5 * LIMITS.heartbeatTimeoutMs,
    );
    const committed = await operator.event('points', 'round.committed', () => true, 150_000);
    assert.deepEqual([committed['reporting'], committed['dropped']], [['near'], ['far']]);
    await operator.event('points', 'job.completed', () => true, 150_000);
    proxy.hole = false;
    await eventually('the site to come back', async () => (await isConnected('far')) || undefined, 60_000);
  });
});
