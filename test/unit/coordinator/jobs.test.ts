import assert from 'node:assert/strict';

import { canonicalText, encodeBase64, LIMITS, signingKeyFromSeed, type JsonObject } from '@tributary/proto';
import {
  nextInQueue,
  nextModelVersion,
  turnHolder,
} from '@tributary/coordinator/internal/domain/job-queue.js';

import { digestNamed, FederationWorld, idOf, submission } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

const types = (entries: readonly { type: string }[]): string[] => entries.map(({ type }) => type);
const start = (name: string) => ({
  kind: 'start-job' as const,
  jobId: idOf('job', name),
  layoutDigest: digestNamed('layout'),
  modelDigest: digestNamed('initial'),
  parameters: 10,
});

/** A world whose job has its first round open. */
function running(name = 'loans', ...more: string[]): FederationWorld {
  const world = FederationWorld.withSites('east', 'west', ...more);
  world.submit(name);
  world.perform(world.until('open-round'));
  return world;
}

describe('jobs', () => {
  describe('apply', () => {
    it('submits a new job, which waits for its turn', () => {
      const world = FederationWorld.create();
      assert.deepEqual(types(world.run(submission('loans'))), ['job.submitted']);
      assert.equal(world.job('loans').phase, 'Queued');
      assert.equal(world.job('loans').document.spec.minSites, 2);
    });

    it('finds that nothing changed where the same document comes again, whatever id was drawn', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      assert.deepEqual(world.run({ ...submission('loans'), jobId: idOf('job', 'drawn anew') }), []);
    });

    it('takes over what may change', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      const changed = submission('loans', {
        activeDeadlineSeconds: 60,
        ttlSecondsAfterFinished: 5,
        suspend: true,
      });
      assert.deepEqual(types(world.run(changed)), ['job.configured', 'job.suspended']);
      assert.deepEqual(world.job('loans').settings, {
        suspend: true,
        activeDeadlineSeconds: 60,
        ttlSecondsAfterFinished: 5,
      });
      assert.equal(world.job('loans').generation, 3);
      assert.deepEqual(types(world.run(submission('loans'))), ['job.configured', 'job.resumed']);
      assert.equal(world.job('loans').phase, 'Queued');
    });

    it('refuses other content under the name, with the path', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      const changed = submission('loans', { rounds: 3 });
      assert.throws(() => world.run(changed), refusal('IMMUTABLE_FIELD', /^spec\.rounds/));
    });

    it('refuses another author under the name, and another name under the id', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      const other = submission('loans', {}, signingKeyFromSeed(new Uint8Array(32).fill(9)));
      assert.throws(() => world.run(other), refusal('ALREADY_EXISTS', /another author/));
      const sameId = { ...submission('cards'), jobId: idOf('job', 'loans') };
      assert.throws(() => world.run(sameId), refusal('ALREADY_EXISTS'));
    });

    it('refuses a document that its author did not sign', () => {
      const world = FederationWorld.create();
      const { signature } = submission('other');
      assert.throws(() => world.run({ ...submission('loans'), signature }), refusal('SIGNATURE_INVALID'));
      assert.throws(
        () => world.run({ ...submission('loans'), signature: 'AA==' }),
        refusal('INVALID_ARGUMENT'),
      );
      const authorKey = encodeBase64(new Uint8Array(31));
      assert.throws(() => world.run({ ...submission('loans'), authorKey }), refusal('INVALID_ARGUMENT'));
    });

    it('refuses what is no document, not canonical, not served or too large', () => {
      const world = FederationWorld.create();
      const as = (document: string) => () => world.run({ ...submission('loans'), document });
      assert.throws(as('[]'), refusal('DOCUMENT_INVALID'));
      assert.throws(as('{ }'), refusal('INVALID_ARGUMENT'));
      assert.throws(as(`"${'x'.repeat(LIMITS.documentBytes)}"`), refusal('LIMIT_EXCEEDED'));
      const document = JSON.parse(submission('loans').document) as { spec: { privacy: object } };
      document.spec.privacy = { differentialPrivacy: { epsilon: 1 } };
      assert.throws(as(canonicalText(document as unknown as JsonObject)), refusal('DOCUMENT_UNSUPPORTED'));
      assert.equal(world.state.jobs.size, 0);
    });

    it('changes only the settings of a job that has ended', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      world.run({ kind: 'cancel-job', name: 'loans', reason: '' });
      assert.deepEqual(world.run(submission('loans')), []);
      const changed = submission('loans', { suspend: true, ttlSecondsAfterFinished: 5 });
      assert.deepEqual(types(world.run(changed)), ['job.configured']);
      assert.equal(world.job('loans').phase, 'Failed');
    });

    it('bounds the jobs that wait or run', () => {
      const world = FederationWorld.create();
      const job = world.submit('loans');
      const jobs = new Map(world.state.jobs);
      for (let at = jobs.size; at < LIMITS.openJobs; at += 1)
        jobs.set(`j${String(at)}`, { ...job, name: `j${String(at)}` });
      world.state = { ...world.state, jobs };
      assert.throws(() => world.run(submission('more')), refusal('LIMIT_EXCEEDED'));
      world.run({ kind: 'cancel-job', name: 'loans', reason: '' });
      assert.equal(world.run(submission('more')).length, 1);
    });
  });

  describe('configure', () => {
    it('records what differs, judged by the schema of the document', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      assert.deepEqual(world.run({ kind: 'configure-job', name: 'loans', ttlSecondsAfterFinished: 0 }), []);
      const [entry] = world.run({ kind: 'configure-job', name: 'loans', activeDeadlineSeconds: 7 });
      assert.deepEqual(entry?.body, { jobId: idOf('job', 'loans'), activeDeadlineSeconds: 7 });
      const wrong = { kind: 'configure-job' as const, name: 'loans', activeDeadlineSeconds: 0 };
      assert.throws(() => world.run(wrong), refusal('DOCUMENT_INVALID', /activeDeadlineSeconds/));
      assert.throws(
        () => world.run({ kind: 'configure-job', name: 'nobody' }),
        refusal('NOT_FOUND', /nobody/),
      );
    });
  });

  describe('the queue', () => {
    it('starts one job at a time, in the order of submission', () => {
      const world = FederationWorld.create();
      world.run(submission('first'));
      world.run(submission('second'));
      assert.throws(() => world.run(start('second')), refusal('CONFLICT', /turn/));
      assert.deepEqual(types(world.run(start('first'))), ['job.started']);
      assert.deepEqual(world.run(start('first')), []);
      assert.equal(turnHolder(world.state)?.name, 'first');
      assert.throws(() => world.run(start('second')), refusal('CONFLICT', /turn/));
      world.run({ kind: 'cancel-job', name: 'first', reason: '' });
      assert.equal(nextInQueue(world.state)?.name, 'second');
      assert.equal(world.run(start('second')).length, 1);
    });

    it('refuses models without or with too many parameters, unknown and ended jobs', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      for (const parameters of [0, Number.NaN, LIMITS.modelParameters + 1]) {
        assert.throws(() => world.run({ ...start('loans'), parameters }), refusal('LIMIT_EXCEEDED'));
      }
      assert.throws(() => world.run(start('nobody')), refusal('NOT_FOUND'));
      world.run({ kind: 'cancel-job', name: 'loans', reason: '' });
      assert.throws(() => world.run(start('loans')), refusal('CONFLICT', /Failed/));
    });
  });

  describe('suspend and resume', () => {
    it('suspends once, resumes once, and puts the job back in the queue', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      assert.equal(world.run({ kind: 'suspend-job', name: 'loans', reason: 'night' }).length, 1);
      assert.deepEqual(world.run({ kind: 'suspend-job', name: 'loans', reason: 'night' }), []);
      assert.equal(world.job('loans').phase, 'Suspended');
      assert.equal(world.run({ kind: 'resume-job', name: 'loans' }).length, 1);
      assert.deepEqual(world.run({ kind: 'resume-job', name: 'loans' }), []);
      assert.equal(world.job('loans').phase, 'Queued');
    });

    it('begins suspended where the document says so', () => {
      const world = FederationWorld.withSites('east', 'west');
      world.run(submission('loans', { suspend: true }));
      assert.equal(world.job('loans').phase, 'Suspended');
      assert.deepEqual(world.next(), { kind: 'wait' });
    });

    it('lets the open round end and opens no other', () => {
      const world = running();
      world.run({ kind: 'suspend-job', name: 'loans', reason: '' });
      world.accept('loans', 'east');
      world.accept('loans', 'west');
      world.perform(world.until('commit-round'));
      assert.equal(world.job('loans').committedRounds, 1);
      assert.equal(world.job('loans').phase, 'Suspended');
      assert.deepEqual(world.next(), { kind: 'wait' });
    });

    it('holds the turn while the open round ends', () => {
      const world = running();
      world.run(submission('second'));
      world.run({ kind: 'suspend-job', name: 'loans', reason: '' });
      assert.equal(turnHolder(world.state)?.name, 'loans');
      assert.throws(() => world.run(start('second')), refusal('CONFLICT', /turn/));
      world.accept('loans', 'east');
      world.accept('loans', 'west');
      world.perform(world.until('commit-round'));
      assert.deepEqual(world.next(), { kind: 'start-job', jobId: idOf('job', 'second') });
    });

    it('goes on from the model that it had', () => {
      const world = running();
      world.accept('loans', 'east');
      world.accept('loans', 'west');
      world.perform(world.until('commit-round'));
      const base = world.job('loans').base?.modelDigest;
      world.run({ kind: 'suspend-job', name: 'loans', reason: '' });
      world.run({ kind: 'resume-job', name: 'loans' });
      assert.throws(() => world.run(start('loans')), refusal('CONFLICT', /goes on from/));
      world.perform(world.until('start-job'));
      assert.equal(world.job('loans').base?.modelDigest, base);
      assert.equal(world.job('loans').base?.initialDigest, digestNamed('initial model'));
      const step = world.next();
      assert.equal(step.kind, 'open-round');
      assert.equal(step.kind === 'open-round' && step.round, 2);
    });

    it('takes the turn back at once where the round is still open', () => {
      const world = running();
      world.run({ kind: 'suspend-job', name: 'loans', reason: '' });
      world.run({ kind: 'resume-job', name: 'loans' });
      assert.deepEqual(world.next(), { kind: 'start-job', jobId: idOf('job', 'loans') });
      world.perform(world.next());
      assert.equal(world.job('loans').phase, 'Running');
      assert.equal(world.round('loans').phase, 'Open');
    });

    it('completes a job whose last round ended while it was suspended', () => {
      const world = running();
      for (let round = 1; round <= 2; round += 1) {
        world.until('wait');
        if (round === 2) world.run({ kind: 'suspend-job', name: 'loans', reason: '' });
        world.accept('loans', 'east');
        world.accept('loans', 'west');
        world.perform(world.until('commit-round'));
      }
      world.perform(world.until('complete-job'));
      assert.equal(world.job('loans').phase, 'Complete');
    });

    it('is refused for jobs that have ended', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      world.run({ kind: 'cancel-job', name: 'loans', reason: '' });
      assert.throws(() => world.run({ kind: 'suspend-job', name: 'loans', reason: '' }), refusal('CONFLICT'));
      assert.throws(() => world.run({ kind: 'resume-job', name: 'loans' }), refusal('CONFLICT'));
    });
  });

  describe('cancel and delete', () => {
    it('cancels the open round with the job, once', () => {
      const world = running();
      const entries = world.run({ kind: 'cancel-job', name: 'loans', reason: 'wrong data' });
      assert.deepEqual(types(entries), ['round.failed', 'job.failed']);
      assert.equal(world.round('loans').phase, 'Failed');
      assert.equal(world.job('loans').lastFailure?.detail, 'wrong data');
      assert.deepEqual(world.run({ kind: 'cancel-job', name: 'loans', reason: 'again' }), []);
      assert.equal(turnHolder(world.state), undefined);
    });

    it('deletes an ended job; the name is free for another document', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      world.run({ kind: 'cancel-job', name: 'loans', reason: '' });
      assert.deepEqual(types(world.run({ kind: 'delete-job', name: 'loans' })), ['job.deleted']);
      assert.throws(() => world.run({ kind: 'delete-job', name: 'loans' }), refusal('NOT_FOUND'));
      assert.equal(world.run({ ...submission('loans', { rounds: 9 }), jobId: idOf('job', 'new') }).length, 1);
    });

    it('cancels what it deletes', () => {
      const world = running();
      assert.deepEqual(types(world.run({ kind: 'delete-job', name: 'loans' })), [
        'round.failed',
        'job.failed',
        'job.deleted',
      ]);
      assert.equal(world.state.jobs.size, 0);
      assert.throws(() => world.run({ ...start('loans') }), refusal('NOT_FOUND'));
    });

    it('refuses to cancel a job that failed otherwise', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      const failure = {
        kind: 'fail-job' as const,
        jobId: idOf('job', 'loans'),
        code: 'INTERNAL',
        detail: 'x',
      };
      assert.deepEqual(types(world.run(failure)), ['job.failed']);
      assert.deepEqual(world.run(failure), []);
      assert.throws(() => world.run({ ...failure, code: 'JOB_DEADLINE' }), refusal('CONFLICT'));
      assert.throws(() => world.run({ kind: 'cancel-job', name: 'loans', reason: '' }), refusal('CONFLICT'));
    });

    it('refuses to fail a job with a code that nobody knows', () => {
      const world = FederationWorld.create();
      world.run(submission('loans'));
      const failure = { kind: 'fail-job' as const, jobId: idOf('job', 'loans'), code: 'OOPS', detail: '' };
      assert.throws(() => world.run(failure), refusal('INVALID_ARGUMENT', /^code/));
    });
  });

  describe('the end', () => {
    it('registers the model of the last round, then completes', () => {
      const world = running();
      const register = {
        kind: 'register-model' as const,
        jobId: idOf('job', 'loans'),
        version: 1,
        manifestDigest: digestNamed('manifest'),
        weightsDigest: digestNamed('weights'),
        signature: encodeBase64(new Uint8Array(64)),
      };
      assert.throws(() => world.run(register), refusal('CONFLICT', /last round/));
      assert.throws(
        () => world.run({ kind: 'complete-job', jobId: idOf('job', 'loans') }),
        refusal('CONFLICT'),
      );
      for (let round = 1; round <= 2; round += 1) {
        world.until('wait');
        world.accept('loans', 'east');
        world.accept('loans', 'west');
        world.perform(world.until('commit-round'));
      }
      assert.throws(() => world.run(register), refusal('CONFLICT', /weights/));
      const weightsDigest = world.job('loans').base?.modelDigest ?? digestNamed('none');
      assert.throws(() => world.run({ ...register, weightsDigest, version: 2 }), refusal('CONFLICT', /is 1/));
      const unsigned = { ...register, weightsDigest, signature: '' };
      assert.throws(() => world.run(unsigned), refusal('INVALID_ARGUMENT'));
      assert.equal(world.run({ ...register, weightsDigest }).length, 1);
      assert.deepEqual(world.run({ ...register, weightsDigest }), []);
      assert.equal(nextModelVersion(world.state, 'loans'), 2);
      world.perform(world.next());
      assert.equal(world.job('loans').phase, 'Complete');
      assert.deepEqual(world.run({ kind: 'complete-job', jobId: idOf('job', 'loans') }), []);
      assert.throws(
        () => world.run({ kind: 'cancel-job', name: 'loans', reason: '' }),
        refusal('CONFLICT', /Complete/),
      );
      assert.deepEqual(world.job('loans').contributors, ['east', 'west']);
      assert.deepEqual(world.replayed(), world.state);
    });
  });
});
