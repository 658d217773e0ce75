import assert from 'node:assert/strict';

import {
  liveMembers,
  stageTranscript,
} from '@tributary/coordinator/internal/domain/rounds/round-progress.js';

import { digestNamed, idOf, type FederationWorld, type Wish } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';
import { stagedWorld, THREE_STAGES } from '../../support/staged-round.js';

const SITES = ['a', 'b', 'c', 'd', 'e'];

const ids = (world: FederationWorld) => {
  const { jobId, round, attempt } = world.round('loans');
  return { jobId, round, attempt };
};

const message = (world: FederationWorld, stage: string, site: string, text = `${stage} ${site}`): Wish => ({
  kind: 'stage-message',
  ...ids(world),
  stage,
  agentId: idOf('agt', site),
  digest: digestNamed(text),
});

const participants = (world: FederationWorld): (readonly string[] | undefined)[] =>
  world.round('loans').stages.map((stage) => stage.participants);

describe('a round of three stages', () => {
  it('runs from end to end, its participants narrowing from stage to stage', () => {
    const world = stagedWorld(THREE_STAGES, SITES);
    const begun = world.now;
    for (const site of ['a', 'b', 'c', 'd']) world.run(message(world, 'advertise', site));
    assert.deepEqual(world.next(), { kind: 'wait', untilMs: begun + 20_000 });
    world.now = begun + 20_000;
    world.perform(world.next());
    for (const site of ['a', 'b', 'c']) world.accept('loans', site);
    assert.deepEqual(world.next(), { kind: 'wait', untilMs: begun + 70_000 });
    world.now = begun + 70_000;
    world.perform(world.next());
    for (const site of ['a', 'b']) world.run(message(world, 'confirm', site));
    world.now = begun + 100_000;
    world.perform(world.next());
    assert.deepEqual(participants(world), [
      ['a', 'b', 'c', 'd'],
      ['a', 'b', 'c'],
      ['a', 'b'],
    ]);
    assert.equal(world.round('loans').phase, 'Summing');
    const [committed] = world.perform(world.next());
    assert.ok(committed?.type === 'round.committed');
    assert.deepEqual(committed.body.reporting, ['a', 'b', 'c']);
    assert.deepEqual(committed.body.dropped, ['d', 'e']);
    assert.deepEqual(world.replayed(), world.state);
  });

  it('goes on at once when all who are left have reported', () => {
    const world = stagedWorld(THREE_STAGES, SITES);
    const begun = world.now;
    for (const site of SITES) world.run(message(world, 'advertise', site));
    world.now += 5;
    world.perform(world.next());
    assert.equal(world.round('loans').stages[1]?.deadlineAt, begun + 5 + 50_000);
    for (const site of SITES) world.accept('loans', site);
    world.perform(world.next());
    for (const site of SITES) world.run(message(world, 'confirm', site));
    world.perform(world.next());
    assert.equal(world.next().kind, 'commit-round');
  });

  it('records each stage with the digest of its transcript', () => {
    const world = stagedWorld(THREE_STAGES, SITES);
    for (const site of SITES) world.run(message(world, 'advertise', site));
    const round = world.round('loans');
    const stage = round.stages[0];
    assert.ok(stage);
    const [closed] = world.perform(world.next());
    assert.ok(closed?.type === 'stage.closed');
    assert.equal(closed.body.transcriptDigest, stageTranscript(round, stage));
    assert.equal(world.round('loans').stages[0]?.transcriptDigest, closed.body.transcriptDigest);
  });

  it('takes one message of a site per stage: the same again changes nothing, another is refused', () => {
    const world = stagedWorld(THREE_STAGES, SITES);
    assert.equal(world.run(message(world, 'advertise', 'a')).length, 1);
    assert.deepEqual(world.run(message(world, 'advertise', 'a')), []);
    assert.throws(() => world.run(message(world, 'advertise', 'a', 'other')), refusal('UPDATE_DUPLICATE'));
    for (const site of ['b', 'c', 'd', 'e']) world.run(message(world, 'advertise', site));
    world.perform(world.next());
    assert.deepEqual(world.run(message(world, 'advertise', 'a')), []);
    assert.throws(() => world.run(message(world, 'advertise', 'a', 'other')), refusal('UPDATE_DUPLICATE'));
  });

  it('takes nothing for a stage that is closed or not open yet', () => {
    const world = stagedWorld(THREE_STAGES, SITES);
    assert.throws(() => world.accept('loans', 'a'), refusal('UPDATE_WRONG_ROUND', /not open yet/));
    assert.throws(() => world.run(message(world, 'confirm', 'a')), refusal('UPDATE_WRONG_ROUND'));
    world.run(message(world, 'advertise', 'a'));
    world.run(message(world, 'advertise', 'b'));
    world.now += 20_000;
    world.perform(world.next());
    assert.throws(() => world.run(message(world, 'advertise', 'c')), refusal('UPDATE_LATE'));
  });

  it('lets nobody back in who missed a stage', () => {
    const world = stagedWorld(THREE_STAGES, SITES);
    for (const site of ['a', 'b', 'c']) world.run(message(world, 'advertise', site));
    world.now += 20_000;
    world.perform(world.next());
    assert.throws(() => world.accept('loans', 'd'), refusal('NOT_IN_COHORT', /stage before/));
    assert.deepEqual(
      liveMembers(world.round('loans')).map(({ site }) => site),
      ['a', 'b', 'c'],
    );
  });

  it('fails as soon as a later stage cannot reach its minimum', () => {
    const world = stagedWorld(THREE_STAGES, SITES, 3);
    for (const site of ['a', 'b', 'c']) world.run(message(world, 'advertise', site));
    world.now += 20_000;
    world.perform(world.next());
    world.run({
      kind: 'decline-round',
      ...ids(world),
      agentId: idOf('agt', 'b'),
      code: 'TRAINING_FAILED',
      detail: '',
    });
    const step = world.next();
    assert.equal(
      step.kind === 'fail-round' && step.detail,
      'stage collect: 2 of 3 sites can still report; b: TRAINING_FAILED',
    );
  });

  it('does not wait for a site that declined after it had reported in an earlier stage', () => {
    const world = stagedWorld(THREE_STAGES, ['a', 'b', 'c']);
    for (const site of ['a', 'b']) world.run(message(world, 'advertise', site));
    const decline: Wish = {
      kind: 'decline-round',
      ...ids(world),
      agentId: idOf('agt', 'a'),
      code: 'TRAINING_FAILED',
      detail: '',
    };
    assert.equal(world.run(decline).length, 1);
    world.run(message(world, 'advertise', 'c'));
    world.perform(world.next());
    assert.deepEqual(participants(world)[0], ['a', 'b', 'c']);
    for (const site of ['b', 'c']) world.accept('loans', site);
    assert.equal(world.next().kind, 'close-stage');
  });

  it('closes only the stage of updates early for over-selection', () => {
    const world = stagedWorld(THREE_STAGES, SITES, 2, 3);
    for (const site of ['a', 'b', 'c']) world.run(message(world, 'advertise', site));
    assert.equal(world.next().kind, 'wait');
    for (const site of ['d', 'e']) world.run(message(world, 'advertise', site));
    world.perform(world.next());
    for (const site of ['a', 'b', 'c']) world.accept('loans', site);
    assert.equal(world.next().kind, 'close-stage');
  });
});
