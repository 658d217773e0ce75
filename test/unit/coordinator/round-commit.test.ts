import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';

import { digestNamed, FederationWorld, type Wish } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

/** A world whose job `loans` has its first round open over these sites. */
function opened(sites: readonly string[]): FederationWorld {
  const world = FederationWorld.withSites(...sites);
  world.submit('loans');
  world.perform(world.until('open-round'));
  return world;
}

const ofRound = (world: FederationWorld) => {
  const { jobId, round, attempt } = world.round('loans');
  return { jobId, round, attempt };
};

describe('the commit of a round', () => {
  const summing = (): FederationWorld => {
    const world = opened(['west', 'east', 'north']);
    world.accept('loans', 'west');
    world.accept('loans', 'east');
    world.now += 300_000;
    world.perform(world.until('close-stage'));
    return world;
  };
  const commit = (world: FederationWorld, folded: readonly string[]): Wish => ({
    kind: 'commit-round',
    ...ofRound(world),
    modelDigest: digestNamed('model 1'),
    folded,
    metrics: { loss: '0.5' },
  });
  const uploads = (world: FederationWorld): string[] =>
    Array.from(world.round('loans').updates.values(), (one) => one.uploadId);

  it('takes exactly the accepted updates, in any order, once', () => {
    const world = summing();
    const all = uploads(world);
    assert.throws(() => world.run(commit(world, all.slice(1))), refusal('CONFLICT', /exactly/));
    assert.throws(() => world.run(commit(world, [...all, ...all])), refusal('CONFLICT'));
    const [entry] = world.run(commit(world, all.reverse()));
    assert.ok(entry?.type === 'round.committed');
    assert.deepEqual([entry.body.reporting, entry.body.dropped], [['east', 'west'], ['north']]);
    assert.deepEqual(world.run(commit(world, all)), []);
    const other = { ...commit(world, all), modelDigest: digestNamed('other') } as Wish;
    assert.throws(() => world.run(other), refusal('CONFLICT'));
  });

  it('makes the model the base of the next round and keeps a summary', () => {
    const world = summing();
    const { openedSeq } = world.round('loans');
    const [entry] = world.run(commit(world, uploads(world)));
    const job = world.job('loans');
    assert.equal(job.base?.modelDigest, digestNamed('model 1'));
    assert.deepEqual(job.metrics, { loss: '0.5' });
    const [summary] = job.history;
    assert.deepEqual(
      [summary?.openedSeq, summary?.closedSeq, summary?.selected, summary?.reporting, summary?.dropped],
      [openedSeq, entry?.seq, 3, 2, 1],
    );
  });

  it('is refused before the stages are closed', () => {
    const world = opened(['west', 'east']);
    assert.throws(() => world.run(commit(world, [])), refusal('CONFLICT'));
  });

  it('may fail instead, and the round is tried again', () => {
    const world = summing();
    const failure: Wish = {
      kind: 'fail-round',
      ...ofRound(world),
      code: 'INTERNAL',
      detail: 'x'.repeat(9_999),
    };
    world.run(failure);
    assert.equal(world.job('loans').lastFailure?.detail.length, LIMITS.detailLength);
    assert.equal(world.job('loans').failedAttempts, 1);
    assert.throws(() => world.run({ ...failure, attempt: 7 }), refusal('UPDATE_WRONG_ROUND'));
  });
});
