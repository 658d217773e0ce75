import assert from 'node:assert/strict';

import {
  emptyStatisticsDigest,
  fitOfStatistics,
  needsStatistics,
  parseManifest,
  statisticsLayout,
  vectorLength,
  WeightsDecoder,
  type Digest,
  type FeatureFit,
  type FederatedJobInput,
} from '@tributary/proto';

import { Power } from '../../support/power.js';
import { TrainingWorld } from '../../support/training-world.js';

const SITES = ['east', 'west'];

const SPEC: Partial<FederatedJobInput['spec']> = {
  rounds: 2,
  features: [
    { name: 'x', type: 'Numeric', scaling: 'Federated', low: 0, high: 10 },
    { name: 'd', type: 'Date', part: 'Year', scaling: 'Federated', low: 1900, high: 2030 },
    { name: 'z', type: 'Numeric', scaling: 'Site' },
  ],
};

async function worldOf(automatic: boolean): Promise<TrainingWorld> {
  const world = await TrainingWorld.create(SITES);
  for (const agent of world.agents.values()) agent.automatic = automatic;
  return world;
}

async function blob(world: TrainingWorld, digest: Digest): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of world.blobs.read(digest)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function manifestFit(world: TrainingWorld): Promise<FeatureFit> {
  const [registered] = await world.entries('model.registered');
  assert.ok(registered);
  return parseManifest(await blob(world, registered.body.manifestDigest)).fit;
}

describe('a round of statistics', () => {
  it('comes first, adds tables to zeros, and is named by every round after it', async () => {
    const world = await worldOf(false);
    world.connectAll();
    const jobId = await world.submit('loans', SPEC);
    const { features } = world.job(jobId).document.spec;
    assert.ok(needsStatistics({ features }));
    const round = await world.openRound(jobId, 0);
    assert.equal(round.kind, 'Statistics');
    assert.equal(round.baseDigest, emptyStatisticsDigest(features));
    assert.equal(round.vectorLength, vectorLength({ parameters: 6, metrics: [] }));
    assert.equal(await world.blobs.size(round.baseDigest), 24);
    for (const site of SITES) await world.agent(site).submit(round);

    const first = await world.openRound(jobId, 1);
    const { statisticsDigest } = world.job(jobId);
    assert.ok(statisticsDigest);
    assert.equal(first.statisticsDigest, statisticsDigest);
    assert.equal(first.kind, undefined);
    const request = { jobId, round: 1, offset: 0 };
    const agentId = world.agent('east').agentId;
    const table = await world.training.blobs.open(agentId, { ...request, digest: statisticsDigest });
    assert.equal(table.size, 24);
    const model = { ...request, digest: first.baseDigest };
    assert.ok((await world.training.blobs.open(agentId, model)).size > 0);
    await assert.rejects(world.training.blobs.open(agentId, { ...request, digest: round.baseDigest }), {
      code: 'PERMISSION_DENIED',
    });
    const decoder = new WeightsDecoder(statisticsLayout(features));
    decoder.push(await blob(world, statisticsDigest));
    const fit = fitOfStatistics(features, decoder.finish());

    for (const site of SITES) await world.agent(site).submit(first);
    const second = await world.openRound(jobId, 2);
    assert.equal(second.statisticsDigest, statisticsDigest);
    for (const site of SITES) await world.agent(site).submit(second);
    const job = await world.finished(jobId);
    assert.equal(job.committedRounds, 2);
    const [tableEntry] = await world.entries('round.committed');
    assert.deepEqual(tableEntry?.body.metrics, {});
    assert.deepEqual(
      job.history.map((one) => one.round),
      [0, 1, 2, 3],
    );
    assert.deepEqual(await manifestFit(world), fit);
    assert.deepEqual(Object.keys(fit).sort(), ['d', 'x']);
    await world.close();
    // The manifest says what the table said.
    assert.equal(await world.blobs.size(statisticsDigest), undefined);
  });

  it('is tried again on the same zeros where it fails', async () => {
    const world = await worldOf(false);
    world.connectAll();
    const jobId = await world.submit('loans', { ...SPEC, minSites: 2, roundDeadlineSeconds: 5 });
    const round = await world.openRound(jobId, 0);
    await world.agent('east').submit(round);
    world.advance(6_000);
    const failed = await world.until('the failure', () => world.job(jobId).lastFailure);
    assert.equal(failed.round, 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    world.advance(2_000);
    const again = await world.openRound(jobId, 0, 1);
    assert.equal(again.baseDigest, round.baseDigest);
    assert.equal(again.kind, 'Statistics');
    for (const site of SITES) await world.agent(site).submit(again);
    assert.equal((await world.openRound(jobId, 1)).attempt, 0);
    await world.close();
  });

  it('refuses an update that is longer than a table can be, and none for the clipping norm of the job', async () => {
    const world = await worldOf(false);
    world.connectAll();
    const jobId = await world.submit('loans', { ...SPEC, update: { clipNorm: 1e-6 } });
    const round = await world.openRound(jobId, 0);
    await world.agent('east').submit(round);
    const values = world.agent('west').vector(round).fill(60, 0, 6);
    await assert.rejects(world.agent('west').send(world.agent('west').write(round, { values })), {
      code: 'UPDATE_OUT_OF_RANGE',
    });
    await world.close();
  });

  it('makes the same fit and model wherever the process ends', async function () {
    this.timeout(120_000);
    const run = async (failAt: number) => {
      const world = await worldOf(true);
      const jobId = await world.submit('loans', SPEC);
      const power = new Power(failAt);
      try {
        await world.crash(power);
        world.connectAll();
        await world.until('the end, or a power failure', () =>
          power.off || world.job(jobId).phase === 'Complete' ? true : undefined,
        );
      } catch (error) {
        if (!power.off) throw error;
      }
      if (power.off) {
        await world.crash();
        world.connectAll();
      }
      const job = await world.finished(jobId);
      assert.equal(job.phase, 'Complete', JSON.stringify(job.lastFailure));
      await world.training.stop();
      const held: string[] = [];
      for await (const digest of world.blobs.list()) held.push(digest);
      const accepted = (await world.entries('update.accepted')).length;
      const outcome = { model: job.base?.modelDigest, fit: await manifestFit(world), accepted };
      return { outcome, held: held.length, calls: power.calls };
    };
    const whole = await run(0);
    assert.equal(whole.outcome.accepted, 8);
    for (let failAt = 1; failAt <= whole.calls; failAt += 1) {
      const { outcome, held } = await run(failAt);
      assert.deepEqual(outcome, whole.outcome, `power failure at change ${String(failAt)}`);
      assert.equal(held, 2, `blobs left at change ${String(failAt)}`);
    }
  });
});
