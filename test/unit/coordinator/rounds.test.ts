import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';
import type { AcceptUpdate } from '@tributary/coordinator/internal/domain/command.js';
import { countSites, stageTranscript } from '@tributary/coordinator/internal/domain/rounds/round-progress.js';
import { retryDelayMs } from '@tributary/coordinator/internal/domain/rounds/aggregation-mode.js';

import { digestNamed, FederationWorld, idOf, keyNamed, type Wish } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

const types = (entries: readonly { type: string }[]): string[] => entries.map(({ type }) => type);

/** A world whose job `loans` has its first round open over these sites. */
function opened(
  sites: readonly string[],
  spec: Parameters<FederationWorld['submit']>[1] = {},
): FederationWorld {
  const world = FederationWorld.withSites(...sites);
  world.submit('loans', spec);
  world.perform(world.until('open-round'));
  return world;
}

const ofRound = (world: FederationWorld) => {
  const { jobId, round, attempt } = world.round('loans');
  return { jobId, round, attempt };
};

const declined = (world: FederationWorld, site: string, code = 'POLICY_REFUSED'): Wish => ({
  kind: 'decline-round',
  ...ofRound(world),
  agentId: idOf('agt', site),
  code,
  detail: 'no',
});

const refused = (world: FederationWorld, site: string): Wish => ({
  kind: 'refuse-update',
  ...ofRound(world),
  agentId: idOf('agt', site),
  uploadId: idOf('upl', site),
  code: 'UPDATE_NOT_FINITE',
  detail: 'NaN',
});

describe('a round', () => {
  describe('opening', () => {
    it('names cohort, stages, base, layout and the length of the vector', () => {
      const world = opened(['west', 'east'], { roundDeadlineSeconds: 60, evaluation: { metrics: ['auc'] } });
      const round = world.round('loans');
      assert.deepEqual([...round.cohort.keys()], ['east', 'west']);
      assert.equal(round.baseDigest, digestNamed('initial model'));
      assert.equal(round.layoutDigest, digestNamed('layout'));
      assert.equal(round.vectorLength, 10 + 3 + 1);
      assert.equal(round.stages[0]?.deadlineAt, world.now + 60_000);
      assert.equal(round.stages[0].minimum, 2);
    });

    it('happens once, whatever is drawn for it', () => {
      const world = opened(['west', 'east']);
      const again = {
        kind: 'open-round' as const,
        ...ofRound(world),
        connectedSites: [],
        selectionSeed: '',
        roundKey: '',
      };
      assert.deepEqual(world.run(again), []);
    });

    it('is refused out of turn, without sites, or without sound keys', () => {
      const world = FederationWorld.withSites('west', 'east');
      world.submit('loans');
      const open = {
        kind: 'open-round' as const,
        jobId: idOf('job', 'loans'),
        round: 1,
        attempt: 0,
        connectedSites: ['west', 'east'],
        selectionSeed: keyNamed('seed'),
        roundKey: keyNamed('round'),
      };
      assert.throws(() => world.run(open), refusal('CONFLICT'));
      world.perform(world.next());
      assert.throws(() => world.run({ ...open, round: 2 }), refusal('CONFLICT'));
      assert.throws(() => world.run({ ...open, attempt: 1 }), refusal('CONFLICT'));
      assert.throws(
        () => world.run({ ...open, connectedSites: ['west'] }),
        refusal('ROUND_UNDERSUBSCRIBED', /1 selected/),
      );
      assert.throws(() => world.run({ ...open, selectionSeed: 'AA==' }), refusal('INVALID_ARGUMENT'));
      assert.throws(() => world.run({ ...open, roundKey: 'AA==' }), refusal('INVALID_ARGUMENT'));
      assert.throws(() => world.run({ ...open, jobId: idOf('job', 'x') }), refusal('NOT_FOUND'));
      assert.equal(world.run(open).length, 1);
      assert.throws(() => world.run({ ...open, round: 2 }), refusal('CONFLICT'));
    });
  });

  describe('updates', () => {
    it('are accepted once: the same again changes nothing, at any later time', () => {
      const world = opened(['west', 'east']);
      assert.deepEqual(types(world.accept('loans', 'west')), ['update.accepted']);
      assert.deepEqual(world.accept('loans', 'west'), []);
      const first = world.update('loans', 'west');
      world.accept('loans', 'east');
      world.perform(world.until('commit-round'));
      assert.deepEqual(world.run(first), []);
    });

    it('are refused with other content, another id, or for another round', () => {
      const world = opened(['west', 'east', 'north']);
      world.accept('loans', 'west');
      const refusals: [Partial<AcceptUpdate>, Parameters<typeof refusal>[0]][] = [
        [{ sealDigest: digestNamed('other') }, 'UPLOAD_ID_REUSED'],
        [{ headerDigest: digestNamed('other') }, 'UPLOAD_ID_REUSED'],
        [{ uploadId: idOf('upl', 'other') }, 'UPDATE_DUPLICATE'],
        [{ round: 2 }, 'UPDATE_WRONG_ROUND'],
        [{ attempt: 1 }, 'UPDATE_WRONG_ROUND'],
        [{ jobId: idOf('job', 'x') }, 'UPDATE_WRONG_ROUND'],
        [{ agentId: idOf('agt', 'stranger') }, 'NOT_IN_COHORT'],
      ];
      for (const [change, code] of refusals)
        assert.throws(() => world.accept('loans', 'west', change), refusal(code));
      assert.equal(world.round('loans').updates.size, 1);
    });

    it('are late after the stage has closed, and wrong after the round has ended', () => {
      const world = opened(['west', 'east', 'north']);
      world.accept('loans', 'west');
      world.accept('loans', 'east');
      world.now += 300_000;
      world.perform(world.until('close-stage'));
      assert.throws(() => world.accept('loans', 'north'), refusal('UPDATE_LATE'));
      world.perform(world.until('commit-round'));
      assert.throws(() => world.accept('loans', 'north'), refusal('UPDATE_WRONG_ROUND'));
    });

    it('are taken until the stage closes, even when its time is over', () => {
      const world = opened(['west', 'east']);
      world.now += 300_001;
      assert.equal(world.accept('loans', 'west').length, 1);
    });

    it('of a site that declined, was refused or revoked are not taken', () => {
      const world = opened(['a', 'b', 'c', 'd', 'e']);
      world.run(declined(world, 'a'));
      world.run(refused(world, 'b'));
      world.run({ kind: 'revoke-site', site: 'c', reason: 'lost' });
      assert.throws(() => world.accept('loans', 'a'), refusal('NOT_IN_COHORT', /declined/));
      assert.throws(() => world.accept('loans', 'b'), refusal('UPDATE_DUPLICATE'));
      assert.throws(() => world.accept('loans', 'c'), refusal('AGENT_REVOKED'));
      assert.deepEqual(countSites(world.round('loans')), {
        selected: 5,
        reporting: 0,
        dropped: 2,
        rejected: 1,
      });
    });
  });

  describe('sites that are out', () => {
    it('decline once, and not after they have reported', () => {
      const world = opened(['west', 'east', 'north']);
      assert.deepEqual(types(world.run(declined(world, 'west'))), ['site.declined']);
      assert.deepEqual(world.run(declined(world, 'west')), []);
      world.accept('loans', 'east');
      assert.deepEqual(world.run(declined(world, 'east')), []);
      assert.equal(world.round('loans').cohort.get('west')?.code, 'POLICY_REFUSED');
      assert.throws(() => world.run(declined(world, 'nobody')), refusal('NOT_IN_COHORT'));
      assert.throws(() => world.run(declined(world, 'north', 'OOPS')), refusal('INVALID_ARGUMENT'));
    });

    it('are refused once, and not after their update was accepted', () => {
      const world = opened(['west', 'east', 'north']);
      assert.deepEqual(types(world.run(refused(world, 'west'))), ['update.refused']);
      assert.deepEqual(world.run(refused(world, 'west')), []);
      world.accept('loans', 'east');
      assert.deepEqual(world.run(refused(world, 'east')), []);
      const member = world.round('loans').cohort.get('west');
      assert.deepEqual(
        [member?.fate, member?.code, member?.uploadId],
        ['Refused', 'UPDATE_NOT_FINITE', idOf('upl', 'west')],
      );
    });

    it('can no longer decline or be refused when the stage is closed', () => {
      const world = opened(['west', 'east', 'north']);
      world.accept('loans', 'west');
      world.accept('loans', 'east');
      world.now += 300_000;
      world.perform(world.until('close-stage'));
      assert.deepEqual(world.run(declined(world, 'north')), []);
      assert.deepEqual(world.run(refused(world, 'north')), []);
    });

    it('keep what they had reported when they are revoked', () => {
      const world = opened(['west', 'east']);
      world.accept('loans', 'west');
      world.run({ kind: 'revoke-site', site: 'west', reason: 'lost' });
      world.accept('loans', 'east');
      world.perform(world.until('commit-round'));
      assert.equal(world.job('loans').history[0]?.reporting, 2);
    });
  });

  describe('closing', () => {
    const close = (world: FederationWorld): Wish => ({
      kind: 'close-stage',
      ...ofRound(world),
      stage: 'collect',
    });

    it('comes as soon as every live member has reported', () => {
      const world = opened(['west', 'east', 'north']);
      world.accept('loans', 'west');
      world.accept('loans', 'east');
      assert.throws(() => world.run(close(world)), refusal('CONFLICT', /awaits/));
      assert.equal(world.next().kind, 'wait');
      world.run(declined(world, 'north'));
      assert.equal(world.next().kind, 'close-stage');
      const [entry] = world.run(close(world));
      assert.deepEqual(entry?.type === 'stage.closed' && entry.body.participants, ['east', 'west']);
      assert.deepEqual(world.run(close(world)), []);
      assert.throws(() => world.run({ ...close(world), stage: 'other' } as Wish), refusal('CONFLICT'));
    });

    it('comes at the deadline with the minimum', () => {
      const world = opened(['west', 'east', 'north'], { roundDeadlineSeconds: 10 });
      world.accept('loans', 'west');
      world.accept('loans', 'east');
      assert.deepEqual(world.next(), { kind: 'wait', untilMs: world.now + 10_000 });
      world.now += 9_999;
      assert.equal(world.next().kind, 'wait');
      world.now += 1;
      assert.equal(world.next().kind, 'close-stage');
    });

    it('comes with the wanted number where more were invited', () => {
      const world = opened(['a', 'b', 'c', 'd', 'e'], { cohortSize: 2, overSelection: 1, minSites: 2 });
      const cohort = [...world.round('loans').cohort.keys()];
      assert.equal(cohort.length, 4);
      world.accept('loans', cohort[0] ?? '');
      assert.equal(world.next().kind, 'wait');
      world.accept('loans', cohort[1] ?? '');
      assert.equal(world.next().kind, 'close-stage');
    });

    it('commits to who reported what', () => {
      const world = opened(['west', 'east']);
      world.accept('loans', 'west');
      world.accept('loans', 'east');
      const round = world.round('loans');
      const stage = round.stages[0];
      assert.ok(stage);
      const [entry] = world.run(close(world));
      assert.equal(
        entry?.type === 'stage.closed' && entry.body.transcriptDigest,
        stageTranscript(round, stage),
      );
      const other = { ...stage, reports: new Map(stage.reports).set('east', digestNamed('other')) };
      assert.notEqual(stageTranscript(round, stage), stageTranscript(round, other));
      const swapped = { ...stage, reports: new Map([...stage.reports].reverse()) };
      assert.equal(stageTranscript(round, stage), stageTranscript(round, swapped));
    });
  });

  describe('undersubscribed', () => {
    it('fails early when too few can still report', () => {
      const world = opened(['west', 'east']);
      world.run(declined(world, 'west'));
      const step = world.next();
      assert.match(
        step.kind === 'fail-round' ? step.detail : '',
        /1 of 2 sites can still report; west: [A-Z_]+/,
      );
      assert.throws(
        () => world.run({ kind: 'close-stage', ...ofRound(world), stage: 'collect' }),
        refusal('ROUND_UNDERSUBSCRIBED'),
      );
      assert.deepEqual(types(world.perform(step)), ['round.failed']);
      assert.deepEqual(world.perform(step), []);
    });

    it('tells last of sites that only lack the dataset', () => {
      const world = opened(['a', 'b', 'c', 'west', 'east']);
      for (const site of ['a', 'b', 'c']) world.run(declined(world, site, 'DATASET_UNKNOWN'));
      world.run(declined(world, 'west'));
      const step = world.until('fail-round');
      assert.match(
        step.kind === 'fail-round' ? step.detail : '',
        /can still report; west: POLICY_REFUSED: no; a: DATASET_UNKNOWN: no; b: .*; 1 more$/,
      );
    });

    it('fails at the deadline when too few have reported', () => {
      const world = opened(['west', 'east', 'north']);
      world.accept('loans', 'west');
      world.now += 300_000;
      const step = world.next();
      assert.equal(step.kind === 'fail-round' && step.code, 'ROUND_UNDERSUBSCRIBED');
    });

    it('is tried again on the same base after a delay, then the job fails', () => {
      const world = opened(['west', 'east']);
      for (let attempt = 0; attempt <= LIMITS.roundRetries; attempt += 1) {
        assert.deepEqual(ofRound(world), { jobId: idOf('job', 'loans'), round: 1, attempt });
        assert.equal(world.round('loans').baseDigest, digestNamed('initial model'));
        world.run(declined(world, 'west'));
        world.perform(world.until('fail-round'));
        const next = world.next();
        if (attempt === LIMITS.roundRetries) break;
        assert.deepEqual(next, { kind: 'wait', untilMs: world.now + retryDelayMs(attempt + 1) });
        world.perform(world.until('open-round'));
      }
      const step = world.next();
      assert.equal(step.kind === 'fail-job' && step.code, 'JOB_RETRIES_EXHAUSTED');
      assert.match(
        step.kind === 'fail-job' ? step.detail : '',
        /round 1 failed 4 times.*ROUND_UNDERSUBSCRIBED/,
      );
      world.perform(step);
      assert.equal(world.job('loans').phase, 'Failed');
      assert.equal(world.job('loans').history.length, LIMITS.roundRetries + 1);
    });

    it('counts the attempts of each round by itself', () => {
      const world = opened(['west', 'east']);
      world.run(declined(world, 'west'));
      world.perform(world.until('open-round'));
      world.perform(world.next());
      world.accept('loans', 'west');
      world.accept('loans', 'east');
      world.perform(world.until('commit-round'));
      assert.equal(world.job('loans').failedAttempts, 0);
      const step = world.until('open-round');
      assert.deepEqual(
        [step.kind === 'open-round' && step.round, step.kind === 'open-round' && step.attempt],
        [2, 0],
      );
    });
  });

  it('sends no message where updates are gathered, and knows no other stage', () => {
    const world = opened(['west', 'east']);
    const message = {
      kind: 'stage-message' as const,
      ...ofRound(world),
      agentId: idOf('agt', 'west'),
      digest: digestNamed('m'),
    };
    assert.throws(
      () => world.run({ ...message, stage: 'collect' }),
      refusal('INVALID_ARGUMENT', /takes updates/),
    );
    assert.throws(() => world.run({ ...message, stage: 'share' }), refusal('INVALID_ARGUMENT', /no stage/));
  });
});
