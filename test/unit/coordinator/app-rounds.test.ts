import assert from 'node:assert/strict';

import {
  LIMITS,
  decodeBase64,
  decodeSums,
  digestOf,
  leafHash,
  parseManifest,
  verifyInclusion,
  verifyManifest,
  WeightsDecoder,
} from '@tributary/proto';

import { collect } from '../../support/bytes.js';
import { MODEL_KEY, TrainingWorld } from '../../support/training-world.js';

/** Base plus the mean of the updates in plain float64: what integer accumulation must agree with. */
function expectedWeights(
  base: Float32Array,
  updates: readonly Float32Array[],
  metrics: readonly string[],
): Float32Array {
  const sums = new Float64Array(updates[0]?.length ?? 0);
  for (const update of updates) update.forEach((value, index) => (sums[index] = (sums[index] ?? 0) + value));
  return decodeSums(base, sums, { metrics }).weights;
}

describe('rounds at work', () => {
  it('runs a job from its submission to a signed model version', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    world.connectAll();
    const jobId = await world.submit('loans', { rounds: 3 });
    for (const round of [1, 2, 3]) {
      const open = await world.openRound(jobId, round);
      for (const agent of world.agents.values()) await agent.submit(open);
    }
    const job = await world.finished(jobId);

    assert.equal(job.phase, 'Complete');
    assert.equal(job.committedRounds, 3);
    assert.deepEqual(job.contributors, ['east', 'west']);
    assert.deepEqual(Object.keys(job.metrics).sort(), ['auc', 'logLoss', 'loss']);
    const [registered] = await world.entries('model.registered');
    assert.ok(registered);
    const bytes = await collect(world.blobs.read(registered.body.manifestDigest));
    verifyManifest(bytes, MODEL_KEY.publicKey, decodeBase64(registered.body.signature, 'signature'));
    const manifest = parseManifest(bytes);
    assert.equal(manifest.version, 1);
    assert.equal(manifest.weightsDigest, job.base?.modelDigest);
    assert.deepEqual(
      manifest.lineage.rounds.map(({ round }) => round),
      [1, 2, 3],
    );
    assert.deepEqual(manifest.outputs, ['y', 'yes']);
    const weights = new WeightsDecoder(manifest.layout);
    weights.push(await collect(world.blobs.read(manifest.weightsDigest)));
    weights.finish();
    assert.deepEqual(world.complaints, []);
    await world.close();
  });

  it('commits the weighted mean of the updates', async () => {
    const world = await TrainingWorld.create(['east', 'west', 'north']);
    world.connectAll();
    const jobId = await world.submit('loans');
    const round = await world.openRound(jobId);
    const base = new Float32Array((await collect(world.blobs.read(round.baseDigest))).buffer);
    for (const agent of world.agents.values()) await agent.submit(round);
    const job = await world.finished(jobId);

    const updates = [...world.agents.values()].map((agent) => agent.vector(round));
    const expected = expectedWeights(base, updates, ['auc', 'logLoss']);
    const committed = new Float32Array(
      (await collect(world.blobs.read(job.base?.modelDigest ?? round.baseDigest))).buffer,
    );
    assert.equal(committed.length, expected.length);
    committed.forEach((value, index) =>
      assert.ok(Math.abs(value - (expected[index] ?? Number.NaN)) < 1e-6, `weight ${String(index)}`),
    );
    await world.close();
  });

  it('sends orders that prove their entries, and settles the round', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    world.connectAll();
    const jobId = await world.submit('loans', { evaluation: { metrics: [] } });
    const round = await world.openRound(jobId);
    const east = world.agent('east');
    const order = await world.until('an order', () => east.orders[0]);
    assert.match(order.orderId, /^ord-[0-9a-f]{32}$/);
    assert.equal(order.remainingMs, 300_000);
    assert.equal(order.entries.length, 3);
    for (const { seq, entry, path } of order.entries) {
      assert.ok(
        verifyInclusion(seq, order.treeHead.treeSize, leafHash(entry), path, order.treeHead.rootHash),
      );
    }
    for (const agent of world.agents.values()) await agent.submit(round);
    await world.finished(jobId);
    await world.until('the settlement', () => east.told().includes('job.completed') || undefined);
    assert.deepEqual(east.told(), ['round.opened', 'round.committed', 'job.completed']);
    await world.close();
  });

  it('repeats an order under the same id to an agent that connects again', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    world.connectAll();
    await world.openRound(await world.submit('loans'));
    const east = world.agent('east');
    await world.until('the order', () => east.orders[0]);
    east.connection.detach();
    east.connect();
    const again = await world.until('the repeat', () => east.orders[1]);
    assert.equal(again.orderId, east.orders[0]?.orderId);
    await world.close();
  });

  it('tells an agent that was away how its round ended', async () => {
    const world = await TrainingWorld.create(['east', 'west', 'north']);
    world.connectAll();
    const jobId = await world.submit('loans', { roundDeadlineSeconds: 60, evaluation: { metrics: [] } });
    const round = await world.openRound(jobId);
    const north = world.agent('north');
    north.connection.detach();
    await world.agent('east').submit(round);
    await world.agent('west').submit(round);
    world.advance(60_000);
    const job = await world.finished(jobId);
    assert.equal(job.phase, 'Complete');
    north.orders.length = 0;
    north.connect();
    await world.until('the settlement', () => north.orders[0]);
    assert.deepEqual(north.told(), ['job.completed']);
    await world.close();
  });

  it('works through the queue of jobs in order', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    const jobs = [await world.submit('first'), await world.submit('second'), await world.submit('third')];
    for (const agent of world.agents.values()) agent.automatic = true;
    world.connectAll();
    for (const jobId of jobs) assert.equal((await world.finished(jobId)).phase, 'Complete');
    const versions = world.federation.state.models.get('trial')?.versions ?? [];
    assert.deepEqual(
      versions.map(({ version, jobName }) => [version, jobName]),
      [
        [1, 'first'],
        [2, 'second'],
        [3, 'third'],
      ],
    );
    await world.close();
  });

  it('tries an undersubscribed round again, and then fails the job', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    world.connectAll();
    const jobId = await world.submit('loans', { roundDeadlineSeconds: 10 });
    for (const attempt of [0, 1, 2, 3]) {
      const round = await world.openRound(jobId, 1, attempt);
      await world.agent('east').submit(round);
      world.advance(10_000);
      await world.until('the round to fail', () =>
        world.job(jobId).round?.phase === 'Failed' ? true : undefined,
      );
      world.advance(60_000);
    }
    const job = await world.finished(jobId);
    assert.equal(job.lastFailure?.code, 'JOB_RETRIES_EXHAUSTED');
    assert.deepEqual(
      (await world.entries('round.failed')).map(({ body }) => body.code),
      Array(4).fill('ROUND_UNDERSUBSCRIBED'),
    );
    await world.training.stop();
    assert.deepEqual(await world.spools.list(), []);
    await world.close();
  });

  it('goes on without a site that declines', async () => {
    const world = await TrainingWorld.create(['east', 'west', 'north']);
    world.connectAll();
    const jobId = await world.submit('loans');
    await world.openRound(jobId);
    const north = world.agent('north');
    const order = await world.until('the order', () => north.orders[0]);
    await north.connection.acknowledge({
      orderId: order.orderId,
      accepted: false,
      code: 'POLICY_REFUSED',
      detail: 'rule minimumCohort',
    });
    await world
      .agent('west')
      .connection.fail({ jobId, round: 1, attempt: 0, code: 'TRAINING_FAILED', detail: 'out of memory' });
    const [failed] = await world.until('the round to fail', () => {
      const { history } = world.job(jobId);
      return history.length > 0 ? history : undefined;
    });
    assert.equal(failed?.code, 'ROUND_UNDERSUBSCRIBED', 'two of three sites are out and two are needed');
    const declined = await world.entries('site.declined');
    assert.deepEqual(
      declined.map(({ body }) => [body.site, body.code]),
      [
        ['north', 'POLICY_REFUSED'],
        ['west', 'TRAINING_FAILED'],
      ],
    );
    await world.close();
  });

  it('takes the failure of an earlier attempt for what it is, from agents that name it', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    world.connectAll();
    const jobId = await world.submit('loans');
    const fails = (site: string, attempt: number): Promise<void> =>
      world
        .agent(site)
        .connection.fail({ jobId, round: 1, attempt, code: 'TRAINING_FAILED', detail: 'out of memory' });
    await world.openRound(jobId);
    await fails('west', 0);
    const second = await world.until('the next attempt', () => {
      world.clock.advance(LIMITS.roundRetryDelayMs);
      const { round } = world.job(jobId);
      return round?.attempt === 1 && round.phase === 'Open' ? round : undefined;
    });
    await fails('west', 0);
    assert.equal(world.job(jobId).round?.cohort.get('west')?.fate, 'Live', 'said again, or late');
    const { agentId } = world.agent('east');
    const hello = { sessionEpoch: 9n, knownSize: 0, software: '', backend: '', datasets: [], wire: '1.2' };
    const link = { order: () => undefined, goodbye: () => undefined };
    const older = world.training.agents.attach(agentId, hello, link);
    await older.fail({ jobId, round: second.round, attempt: 0, code: 'TRAINING_FAILED', detail: '' });
    assert.equal(world.job(jobId).round?.cohort.get('east')?.fate, 'Declined', 'it names no attempt');
    await world.close();
  });

  it('keeps only what the ledger names', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    for (const agent of world.agents.values()) agent.automatic = true;
    world.connectAll();
    const job = await world.finished(await world.submit('loans', { rounds: 4 }));
    await world.training.stop();
    const [version] = world.federation.state.models.get('trial')?.versions ?? [];
    const held: string[] = [];
    for await (const digest of world.blobs.list()) held.push(digest);
    assert.deepEqual(held.sort(), [version?.manifestDigest, version?.weightsDigest].sort());
    assert.deepEqual(await world.spools.list(), []);
    for (const { round, attempt } of job.history) {
      assert.equal(
        await world.vault.get(`round.${job.jobId}.${String(round)}.${String(attempt)}`),
        undefined,
      );
    }
    await world.close();
  });

  it('removes at start what nobody names', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    const { digest } = await world.blobs.put([Uint8Array.of(1, 2, 3)]);
    await world.crash();
    assert.equal(await world.blobs.size(digest), undefined);
    assert.equal(digestOf(Uint8Array.of(1, 2, 3)), digest);
    await world.close();
  });

  it('cancels a running job: its sites are told, its spools go', async () => {
    const world = await TrainingWorld.create(['east', 'west']);
    world.connectAll();
    const jobId = await world.submit('loans');
    await world.agent('east').submit(await world.openRound(jobId));
    await world.federation.execute({ kind: 'delete-job', ...world.asked(), name: 'loans' });
    for (const ends of ['round.failed', 'job.failed'] as const)
      await world.until(
        `the settlement by ${ends}`,
        () => world.agent('west').told().includes(ends) || undefined,
      );
    await world.training.stop();
    assert.deepEqual(await world.spools.list(), []);
    await world.close();
  });
});
