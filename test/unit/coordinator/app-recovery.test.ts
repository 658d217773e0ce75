import assert from 'node:assert/strict';

import fc from 'fast-check';
import { LIMITS, TributaryError, type Digest } from '@tributary/proto';

import { Power } from '../../support/power.js';
import { refusal } from '../../support/refusal.js';
import { THREE_CHUNKS, TrainingWorld } from '../../support/training-world.js';

const SITES = ['east', 'north', 'west'];

/** Runs the job with automatic agents; after a power failure another process goes on, and the agents come back. */
async function runJob(
  sites: readonly string[],
  failAt: number,
): Promise<{ world: TrainingWorld; model: Digest; calls: number; failed: boolean }> {
  const world = await TrainingWorld.create(sites);
  for (const agent of world.agents.values()) agent.automatic = true;
  const jobId = await world.submit('loans', { rounds: 2 });
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
  const failed = power.off;
  if (failed) {
    await world.crash();
    world.connectAll();
  }
  const job = await world.finished(jobId);
  assert.equal(job.phase, 'Complete', JSON.stringify(job.lastFailure));
  const model = job.base?.modelDigest;
  assert.ok(model);
  await world.training.stop();
  return { world, model, calls: power.calls, failed };
}

/** One chunk after the other of an update that fits in one. */
async function submitAll(world: TrainingWorld, jobId: string, order: readonly string[]): Promise<Digest> {
  const round = await world.openRound(jobId);
  for (const site of order) await world.agent(site).submit(round);
  const job = await world.finished(jobId);
  const digest = job.base?.modelDigest;
  assert.ok(digest);
  return digest;
}

describe('recovery of rounds', () => {
  it('makes the same model wherever the process ends: after each change of a store', async function () {
    this.timeout(60_000);
    const sites = ['east', 'west'];
    const whole = await runJob(sites, 0);
    assert.ok(whole.calls > 30, `${String(whole.calls)} changes`);
    let failures = 0;
    for (let failAt = 1; failAt <= whole.calls; failAt += 1) {
      const { world, model, failed } = await runJob(sites, failAt);
      failures += Number(failed);
      assert.equal(model, whole.model, `power failure at change ${String(failAt)}`);
      const accepted = await world.entries('update.accepted');
      assert.equal(
        accepted.length,
        // Two rounds and the evaluation.
        3 * sites.length,
        `nothing lost or counted twice at change ${String(failAt)}`,
      );
      assert.deepEqual(await world.spools.list(), [], `spools left at change ${String(failAt)}`);
      // Whoever recorded the envelopes must not find a key for them later.
      assert.deepEqual(await world.vault.list(), [], `round keys left at change ${String(failAt)}`);
      assert.deepEqual(await world.checkpoints.list(), [], `checkpoints left at change ${String(failAt)}`);
      const held: string[] = [];
      for await (const digest of world.blobs.list()) held.push(digest);
      assert.equal(held.length, 2, `blobs left at change ${String(failAt)}`);
    }
    // The last changes clean up after the job is complete, so a run may end before they fail.
    assert.ok(failures > whole.calls - 6, `${String(failures)} of ${String(whole.calls)} runs were cut off`);
  });

  it('makes the same model whatever the order of arrival', async function () {
    this.timeout(60_000);
    const reference = await arrival(SITES);
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(SITES, { minLength: SITES.length }), async (order) => {
        assert.equal(await arrival(order), reference);
      }),
      { numRuns: 8 },
    );
  });

  it('folds what was accepted before it ended, and commits the same model', async () => {
    const reference = await arrival(SITES);
    const world = await TrainingWorld.create(SITES);
    world.connectAll();
    const jobId = await world.submit('loans');
    const round = await world.openRound(jobId);
    await world.agent('east').submit(round);
    await world.agent('west').submit(round);
    await world.crash();
    world.connectAll();
    await world.agent('north').submit(round);
    const job = await world.finished(jobId);
    assert.equal(job.base?.modelDigest, reference);
    await world.close();
  });

  it('adds updates of several chunks together as it adds them one after the other', async function () {
    this.timeout(60_000);
    const sites = Array.from({ length: LIMITS.foldedTogether + 2 }, (_, index) => `site-${String(index)}`);
    const run = async (crash: boolean): Promise<Digest> => {
      const world = await TrainingWorld.create(sites);
      world.connectAll();
      const jobId = await world.submit('loans', { model: THREE_CHUNKS });
      const round = await world.openRound(jobId);
      for (const site of sites.slice(0, -1)) await world.agent(site).submit(round);
      // Afterwards all of them wait to be added.
      if (crash) {
        await world.crash();
        world.connectAll();
      }
      await world.agent(sites.at(-1) ?? '').submit(round);
      const job = await world.finished(jobId);
      assert.equal(job.phase, 'Complete', JSON.stringify(job.lastFailure));
      await world.close();
      return job.base?.modelDigest ?? assert.fail();
    };
    assert.equal(await run(true), await run(false));
  });

  it('replaces spools by checkpoints, and goes on from one', async function () {
    this.timeout(60_000);
    const count = LIMITS.checkpointEveryUpdates + 6;
    const sites = Array.from({ length: count }, (_, index) => `site-${String(index)}`);
    const run = async (crash: boolean): Promise<Digest> => {
      const world = await TrainingWorld.create(sites);
      world.connectAll();
      const jobId = await world.submit('loans');
      const round = await world.openRound(jobId);
      for (const site of sites.slice(0, -2)) await world.agent(site).submit(round);
      const name = `${jobId}.1.0`;
      await world.until('the checkpoint', () =>
        world.checkpoints.get(name) === undefined ? undefined : true,
      );
      // What is not in the checkpoint is in a spool, and nothing is in both for long.
      const spools = await world.spools.list();
      assert.ok(spools.length <= count - 2, `${String(spools.length)} spools`);
      if (crash) {
        await world.crash();
        world.connectAll();
        assert.ok((await world.spools.list()).length < LIMITS.checkpointEveryUpdates);
      }
      for (const site of sites.slice(-2)) await world.agent(site).submit(round);
      const job = await world.finished(jobId);
      assert.equal(job.phase, 'Complete', JSON.stringify(job.lastFailure));
      await world.training.stop();
      assert.equal(world.checkpoints.get(name), undefined, 'the checkpoint goes with the round');
      const digest = job.base?.modelDigest;
      assert.ok(digest);
      return digest;
    };
    assert.equal(await run(true), await run(false));
  });

  it('fails the round with STORE_CORRUPT where the spool of an accepted update is lost, and tries it again', async () => {
    const world = await TrainingWorld.create(SITES);
    world.connectAll();
    const jobId = await world.submit('loans', { model: THREE_CHUNKS });
    const round = await world.openRound(jobId);
    await world.agent('east').submit(round);
    await world.crash();
    const [uploadId] = await world.spools.list();
    assert.ok(uploadId);
    await world.training.stop();
    await world.spools.remove(uploadId);
    await world.crash();
    world.connectAll();
    for (const site of ['west', 'north']) await world.agent(site).submit(round);
    await world.until('the round to fail', () =>
      world.job(jobId).history[0]?.code === 'STORE_CORRUPT' ? true : undefined,
    );
    world.advance(LIMITS.roundRetryDelayMs);
    const again = await world.openRound(jobId, 1, 1);
    for (const site of SITES) await world.agent(site).submit(again);
    assert.equal((await world.finished(jobId)).phase, 'Complete');
    await world.close();
  });

  it('fails the round where its base model is lost', async () => {
    const world = await TrainingWorld.create(SITES);
    world.connectAll();
    const jobId = await world.submit('loans');
    const round = await world.openRound(jobId);
    await world.blobs.delete(round.baseDigest);
    for (const site of SITES) await world.agent(site).submit(round);
    const [first] = await world.until('the round to fail', () => {
      const { history } = world.job(jobId);
      return history.length > 0 ? history : undefined;
    });
    assert.equal(first?.code, 'NOT_FOUND');
    await world.close();
  });

  it('waits while the disk is full, and goes on when there is space again', async () => {
    const world = await TrainingWorld.create(SITES);
    world.connectAll();
    const jobId = await world.submit('loans');
    const round = await world.openRound(jobId);
    const update = world.agent('east').write(round);
    world.ledger.capacityBytes = 0;
    await assert.rejects(world.agent('east').send(update), refusal('STORE_FULL'));
    world.ledger.capacityBytes = Number.POSITIVE_INFINITY;
    await world.agent('east').send(update);
    await world.agent('west').submit(round);
    world.ledger.capacityBytes = 0;
    await assert.rejects(world.agent('north').submit(round), refusal('STORE_FULL'));
    world.ledger.capacityBytes = Number.POSITIVE_INFINITY;
    await world.agent('north').submit(round);
    world.advance(LIMITS.stepRetryMs);
    assert.equal((await world.finished(jobId)).phase, 'Complete');
    await world.close();
  });

  it('names a full disk where the first model of a job does not fit, also after a restart, and goes on with space', async () => {
    const world = await TrainingWorld.create(SITES);
    const put = world.blobs.put.bind(world.blobs);
    let refused = 0;
    world.blobs.put = () => {
      refused += 1;
      return Promise.reject(new TributaryError('STORE_FULL', 'blobs: the disk is full'));
    };
    for (const agent of world.agents.values()) agent.automatic = true;
    world.connectAll();
    const jobId = await world.submit('loans', { rounds: 1 });
    await world.until('the disk to be full', () => (refused > 0 ? true : undefined));
    await world.close();
    for (const agent of world.agents.values()) agent.disconnected();
    await world.boot();
    world.connectAll();
    const before = refused;
    await world.until('the disk to be full again', () => {
      world.advance(LIMITS.stepRetryMs);
      return refused > before ? true : undefined;
    });
    assert.deepEqual([world.job(jobId).phase, world.job(jobId).base], ['Queued', undefined]);
    const codes = world.complaints.map(({ fields }) => TributaryError.from(fields['error']).code);
    assert.ok(codes.includes('STORE_FULL'), codes.join());
    world.blobs.put = put;
    world.advance(LIMITS.stepRetryMs);
    assert.equal((await world.finished(jobId)).phase, 'Complete');
    await world.close();
  });
});

async function arrival(order: readonly string[]): Promise<Digest> {
  const world = await TrainingWorld.create(SITES);
  world.connectAll();
  const digest = await submitAll(world, await world.submit('loans'), order);
  await world.close();
  return digest;
}
