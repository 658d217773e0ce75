import assert from 'node:assert/strict';

import { FederationWorld, idOf } from '../../support/federation-world.js';

const jobId = idOf('job', 'loans');

describe('the next step', () => {
  it('is to wait where there is nothing to do', () => {
    assert.deepEqual(FederationWorld.create().next(), { kind: 'wait' });
  });

  it('leads a job from its submission to its model', () => {
    const world = FederationWorld.withSites('west', 'east');
    world.submit('loans', { ttlSecondsAfterFinished: 60 });
    const kinds: string[] = [];
    for (let steps = 0; steps < 20; steps += 1) {
      const step = world.next();
      kinds.push(step.kind);
      if (step.kind === 'wait' && world.job('loans').phase === 'Running') {
        world.accept('loans', 'west');
        world.accept('loans', 'east');
      } else world.perform(step);
      if (step.kind === 'delete-job') break;
    }
    const round = ['open-round', 'wait', 'close-stage', 'commit-round'];
    assert.deepEqual(kinds, [
      'start-job',
      ...round,
      ...round,
      'register-model',
      'complete-job',
      'wait',
      'delete-job',
    ]);
    assert.deepEqual(world.next(), { kind: 'wait' });
  });

  it('is the same after a restart, at every point of the way', () => {
    const world = FederationWorld.withSites('west', 'east');
    world.submit('loans', { rounds: 1 });
    for (let steps = 0; steps < 10; steps += 1) {
      const step = world.next();
      world.state = world.replayed();
      assert.deepEqual(world.next(), step);
      if (step.kind === 'wait' && world.job('loans').round?.phase === 'Open') {
        world.accept('loans', 'west');
        world.accept('loans', 'east');
      } else world.perform(step);
    }
    assert.equal(world.job('loans').phase, 'Complete');
  });

  it('waits for enough connected sites, at most until the deadline of the job', () => {
    const world = FederationWorld.withSites('west', 'east');
    world.connected.delete('east');
    world.submit('loans', { activeDeadlineSeconds: 100 });
    world.perform(world.next());
    const started = world.now;
    assert.deepEqual(world.next(), { kind: 'wait', untilMs: started + 100_000 });
    world.connected.add('east');
    assert.equal(world.next().kind, 'open-round');
    world.connected.delete('east');
    world.now = started + 100_000;
    const step = world.next();
    assert.equal(step.kind === 'fail-job' && step.code, 'JOB_DEADLINE');
    world.perform(step);
    assert.equal(world.job('loans').phase, 'Failed');
  });

  it('ends an open round with the job whose time is over', () => {
    const world = FederationWorld.withSites('west', 'east');
    world.submit('loans', { activeDeadlineSeconds: 100 });
    world.perform(world.until('open-round'));
    world.now += 100_000;
    world.perform(world.next());
    assert.equal(world.round('loans').phase, 'Failed');
    assert.equal(world.round('loans').code, 'JOB_DEADLINE');
    assert.deepEqual(world.next(), { kind: 'wait' });
  });

  it('counts the active time anew after a resume, and not while suspended', () => {
    const world = FederationWorld.withSites('west', 'east');
    world.submit('loans', { activeDeadlineSeconds: 100 });
    world.perform(world.until('start-job'));
    world.run({ kind: 'suspend-job', name: 'loans', reason: '' });
    world.now += 1_000_000;
    assert.deepEqual(world.next(), { kind: 'wait' });
    world.run({ kind: 'resume-job', name: 'loans' });
    world.perform(world.until('start-job'));
    assert.equal(world.next().kind, 'open-round');
  });

  it('gives a queued job its turn when the one before it ends', () => {
    const world = FederationWorld.withSites('west', 'east');
    world.submit('loans', { rounds: 1 });
    world.submit('second');
    world.perform(world.until('open-round'));
    assert.equal(world.next().kind, 'wait');
    world.run({ kind: 'cancel-job', name: 'loans', reason: '' });
    assert.deepEqual(world.next(), { kind: 'start-job', jobId: idOf('job', 'second') });
  });

  it('keeps an ended job for ever where its time to live is 0, and wakes for the first to go', () => {
    const world = FederationWorld.create();
    world.submit('kept', { ttlSecondsAfterFinished: 0 });
    world.submit('later', { ttlSecondsAfterFinished: 20 });
    world.submit('sooner', { ttlSecondsAfterFinished: 10 });
    for (const name of ['kept', 'later', 'sooner']) world.run({ kind: 'cancel-job', name, reason: '' });
    assert.deepEqual(world.next(), { kind: 'wait', untilMs: world.now + 10_000 });
    world.now += 10_000;
    assert.deepEqual(world.next(), { kind: 'delete-job', name: 'sooner' });
    world.perform(world.next());
    world.now += 10_000;
    world.perform(world.next());
    assert.deepEqual(world.next(), { kind: 'wait' });
    assert.equal(world.job('kept').phase, 'Failed');
  });

  it('names the version that the model will have', () => {
    const world = FederationWorld.withSites('west', 'east');
    for (const [at, name] of ['loans', 'again'].entries()) {
      world.submit(name, { rounds: 1 });
      world.perform(world.until('open-round'));
      world.accept(name, 'west');
      world.accept(name, 'east');
      const step = world.until('register-model');
      assert.equal(step.kind === 'register-model' && step.version, at + 1);
      world.perform(step);
      world.perform(world.next());
    }
    assert.deepEqual(
      world.state.models.get('loans')?.versions.map(({ version, jobName }) => [version, jobName]),
      [
        [1, 'loans'],
        [2, 'again'],
      ],
    );
    assert.equal(world.state.jobs.get(jobId)?.model?.version, 1);
  });
});
