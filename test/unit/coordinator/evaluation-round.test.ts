import assert from 'node:assert/strict';

import { EMPTY_LAYOUT, layoutDigest, LIMITS } from '@tributary/proto';
import { jobObject } from '@tributary/coordinator/internal/domain/job-object.js';

import { FederationWorld } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

const METRICS = { evaluation: { metrics: ['logLoss' as const] } };

/** A job whose two rounds of training are committed. */
function trained(spec: Parameters<FederationWorld['submit']>[1] = METRICS): FederationWorld {
  const world = FederationWorld.withSites('west', 'east');
  world.submit('loans', { rounds: 2, ...spec });
  while (world.job('loans').committedRounds < 2) {
    const step = world.next();
    if (step.kind === 'wait') answer(world);
    else world.perform(step);
  }
  return world;
}

function answer(world: FederationWorld): void {
  for (const site of ['west', 'east']) world.accept('loans', site);
}

const status = (world: FederationWorld) =>
  jobObject(world.state, world.job('loans'), { now: world.now, presence: new Map() }).status;

const condition = (world: FederationWorld, type: string) =>
  world.job('loans').conditions.find((one) => one.type === type);

/** Steps to the end; waits pass the time. */
function finish(world: FederationWorld): void {
  for (let steps = 0; world.job('loans').phase === 'Running'; steps += 1) {
    assert.ok(steps < 60, JSON.stringify(world.next()));
    world.perform(world.next());
  }
}

describe('a round of evaluation', () => {
  it('follows the last round of training, changes no model, and gives the metrics of the job', () => {
    const world = trained();
    const before = world.job('loans');
    assert.equal(before.metrics['logLoss'], '0.25');
    world.perform(world.until('open-round'));
    const round = world.round('loans');
    assert.deepEqual([round.kind, round.round, round.attempt], ['Evaluation', 3, 0]);
    assert.equal(round.baseDigest, before.base?.modelDigest);
    assert.equal(round.layoutDigest, layoutDigest(EMPTY_LAYOUT));
    // Weight, loss, count and one metric: nothing of the model.
    assert.equal(round.vectorLength, 4);
    const { currentRound, rounds, progressPercentage } = status(world);
    assert.deepEqual([currentRound, rounds, progressPercentage], [2, 2, 99]);
    assert.equal(condition(world, 'Running')?.reason, 'Evaluating');
    answer(world);
    finish(world);
    const job = world.job('loans');
    assert.equal(job.committedRounds, 2);
    assert.equal(job.base?.modelDigest, before.base?.modelDigest);
    assert.deepEqual(job.metrics, { loss: '0.5', logLoss: '0.125' });
    assert.equal(status(world).progressPercentage, 100);
    assert.deepEqual([job.phase, condition(world, 'Complete')?.reason], ['Complete', 'AllRoundsCommitted']);
    assert.deepEqual(world.replayed(), world.state);
  });

  it('is not held where the job asks for no metrics', () => {
    const world = trained({ evaluation: { metrics: [] } });
    assert.equal(world.next().kind, 'register-model');
    finish(world);
    assert.equal(condition(world, 'Complete')?.reason, 'AllRoundsCommitted');
    assert.deepEqual(
      world.job('loans').history.map(({ round }) => round),
      [1, 2],
    );
  });

  it('may not commit another model', () => {
    const world = trained();
    world.perform(world.until('open-round'));
    answer(world);
    const step = world.until('commit-round');
    assert.ok(step.kind === 'commit-round');
    const folded = [...world.round('loans').updates.values()].map(({ uploadId }) => uploadId);
    const modelDigest = world.round('loans').layoutDigest;
    assert.throws(
      () => world.run({ ...step, folded, modelDigest, metrics: {} }, 'coordinator'),
      refusal('CONFLICT', /changes no model/),
    );
  });

  it('that fails as often as rounds may leaves a complete job that says so', () => {
    const world = trained();
    finish(world);
    const { history, phase, model, metrics } = world.job('loans');
    const failed = history.filter(({ kind, code }) => kind === 'Evaluation' && code !== undefined);
    assert.equal(failed.length, LIMITS.roundRetries + 1);
    assert.deepEqual([phase, model?.version], ['Complete', 1]);
    assert.equal(metrics['logLoss'], '0.25');
    const complete = condition(world, 'Complete');
    assert.equal(complete?.reason, 'ModelNotMeasured');
    assert.match(complete.message, /was not measured: .*before the last round.* ROUND_UNDERSUBSCRIBED/);
    assert.equal(status(world).progressPercentage, 100);
    assert.deepEqual(world.replayed(), world.state);
  });

  it('waits for sites no longer than a round may take', () => {
    const world = trained({ ...METRICS, roundDeadlineSeconds: 60 });
    world.connected.clear();
    const step = world.next();
    assert.ok(step.kind === 'wait');
    assert.equal(step.untilMs, (world.round('loans').closedAt ?? 0) + 60_000);
    finish(world);
    assert.equal(world.job('loans').phase, 'Complete');
    assert.match(condition(world, 'Complete')?.message ?? '', /no round of evaluation was held/);
  });

  it('waits as long again after a restart', () => {
    const world = trained({ ...METRICS, roundDeadlineSeconds: 60 });
    world.connected.clear();
    world.now += 3_600_000;
    world.since = world.now;
    const step = world.next();
    assert.equal(step.kind === 'wait' && step.untilMs, world.now + 60_000);
    world.connected.add('east').add('west');
    assert.equal(world.next().kind, 'open-round');
  });

  it('does not cost the model where the time of the job is over', () => {
    const world = trained({ ...METRICS, activeDeadlineSeconds: 100 });
    world.perform(world.until('open-round'));
    world.now += 100_000;
    const step = world.next();
    assert.equal(step.kind === 'fail-round' && step.code, 'JOB_DEADLINE');
    finish(world);
    assert.equal(world.job('loans').phase, 'Complete');
    assert.match(condition(world, 'Complete')?.message ?? '', /JOB_DEADLINE/);
  });

  it('waits while the job is suspended', () => {
    const world = trained();
    world.run({ kind: 'suspend-job', name: 'loans', reason: '' });
    assert.equal(world.next().kind, 'wait');
    world.run({ kind: 'resume-job', name: 'loans' });
    world.perform(world.until('open-round'));
    assert.equal(world.round('loans').kind, 'Evaluation');
  });
});
