import assert from 'node:assert/strict';

import type { FederatedJobInput } from '@tributary/proto';
import { isFinished } from '@tributary/coordinator/internal/domain/job-queue.js';
import { isUnfinished, openStage } from '@tributary/coordinator/internal/domain/rounds/round-progress.js';
import type { RoundState } from '@tributary/coordinator/internal/domain/rounds/round-state.js';
import fc from 'fast-check';

import { propertyRuns } from '../../support/property-runs.js';
import { happenings, HappeningWorld, SITES, type Happening } from '../../support/round-happenings.js';

const ROUNDS = 2;
const DEADLINE_S = 100;

/** Secure aggregation needs three sites, whatever the job says. */
const MODES = { plain: { secure: false, fewest: 1 }, secure: { secure: true, fewest: 3 } } as const;

interface Trial {
  readonly list: readonly Happening[];
  readonly minSites: number;
  readonly cohortSize: number;
}

const trial: fc.Arbitrary<Trial> = fc.record({
  list: happenings,
  minSites: fc.integer({ min: 1, max: 4 }),
  cohortSize: fc.constantFrom(0, 0, 4, 5),
});

function begin(mode: keyof typeof MODES, { minSites, cohortSize }: Trial): HappeningWorld {
  const { secure, fewest } = MODES[mode];
  const spec: Partial<FederatedJobInput['spec']> = {
    ...{ minSites, cohortSize, rounds: ROUNDS, roundDeadlineSeconds: DEADLINE_S },
    overSelection: cohortSize === 0 ? 0 : 0.25,
    privacy: secure ? {} : { secureAggregation: false },
  };
  const most = cohortSize === 0 ? SITES.length : Math.min(SITES.length, Math.ceil(cohortSize * 1.25));
  return new HappeningWorld(spec, { fewest: Math.max(fewest, minSites), most, rounds: ROUNDS });
}

/** An open round always has a deadline, and one that lies within the time that the job gives it. */
function checkArmed(round: RoundState): void {
  const stage = openStage(round);
  if (stage === undefined) return;
  const latest = round.openedAt + 1_000 * DEADLINE_S;
  assert.ok(stage.deadlineAt !== undefined, 'an open round without a deadline');
  // Each stage begins when the one before is closed, which may be late where nobody was there to close it.
  assert.ok(round.stage > 0 || stage.deadlineAt <= latest, 'a deadline beyond that of the round');
}

/** A round that nobody can add to, or that cannot reach its minimum, does not wait. */
function checkEager({ world }: HappeningWorld, round: RoundState): void {
  const stage = openStage(round);
  if (stage === undefined) return;
  const admitted = round.stages[round.stage - 1]?.participants ?? SITES;
  const missing = [...round.cohort.values()].filter(({ site: name, fate }) => {
    return fate === 'Live' && admitted.includes(name) && !stage.reports.has(name);
  });
  const isHopeless = stage.reports.size + missing.length < stage.minimum;
  if (missing.length === 0 || isHopeless) assert.notEqual(world.next().kind, 'wait');
}

/** Announced sets and deadlines never change, and nothing that was decided is taken back. */
function checkProgress(before: RoundState | undefined, after: RoundState): void {
  if (before?.attempt !== after.attempt || before.round !== after.round) return;
  for (const [index, stage] of before.stages.entries()) {
    const later = after.stages[index];
    if (stage.participants !== undefined) assert.deepEqual(later?.participants, stage.participants);
    if (stage.deadlineAt !== undefined) assert.equal(later?.deadlineAt, stage.deadlineAt);
    for (const [name, digest] of stage.reports) assert.equal(later?.reports.get(name), digest);
  }
  assert.ok(after.stage >= before.stage);
}

function explore(mode: keyof typeof MODES, one: Trial): HappeningWorld {
  const trialWorld = begin(mode, one);
  for (const happening of one.list) {
    const before = trialWorld.job.round;
    trialWorld.happen(happening);
    const { round } = trialWorld.job;
    assert.equal(trialWorld.model.open !== undefined, isUnfinished(round), 'the book-keeper disagrees');
    if (round === undefined) continue;
    checkArmed(round);
    checkEager(trialWorld, round);
    checkProgress(before, round);
  }
  trialWorld.restart();
  return trialWorld;
}

/** Without anything from outside, deadlines alone bring the job to its end: no stall. */
function finishAlone(trialWorld: HappeningWorld): void {
  const { world } = trialWorld;
  trialWorld.happen({ kind: 'resume' });
  world.connected.clear();
  for (let steps = 0; steps < 200; steps += 1) {
    if (isFinished(trialWorld.job)) return;
    const step = world.next();
    if (step.kind === 'wait') {
      // No site is connected: a job between rounds waits for some, but not beyond its own deadline.
      assert.ok(step.untilMs !== undefined, `stalled: ${JSON.stringify(trialWorld.job.round?.phase)}`);
      assert.ok(step.untilMs > world.now, 'a wait that is over');
      if (isUnfinished(trialWorld.job.round))
        assert.ok(step.untilMs - world.now <= 1_000 * DEADLINE_S, 'a stage without end');
    }
    trialWorld.perform(step);
  }
  assert.fail('the job does not end');
}

/** With every site there, and each answering what it is asked, the job makes its model. */
function finishTogether(trialWorld: HappeningWorld): void {
  const { world } = trialWorld;
  trialWorld.happen({ kind: 'resume' });
  for (const site of SITES) {
    trialWorld.happen({ kind: 'rejoin', site });
    trialWorld.happen({ kind: 'connect', site });
  }
  const failures = trialWorld.job.failedAttempts;
  for (let steps = 0; steps < 300 && !isFinished(trialWorld.job); steps += 1) {
    for (const site of SITES) trialWorld.happen({ kind: 'report', site, variant: 0, offset: 0 });
    trialWorld.perform(world.next());
  }
  assert.ok(isFinished(trialWorld.job), `the job is stuck: ${JSON.stringify(world.next())}`);
  const { phase, lastFailure } = trialWorld.job;
  // The open attempt may have been lost before; with it the retries may be used up.
  if (failures > 2 || lastFailure?.code === 'JOB_CANCELLED') return;
  assert.equal(phase, 'Complete', JSON.stringify(lastFailure));
  assert.ok(trialWorld.model.commits >= ROUNDS);
}

describe('the round machine, whatever happens', function () {
  this.timeout(120_000);

  for (const mode of ['plain', 'secure'] as const) {
    it(`settles every ${mode} round once, in time, and folds each accepted update once`, () => {
      fc.assert(
        fc.property(trial, (one) => {
          const trialWorld = explore(mode, one);
          finishAlone(trialWorld);
          trialWorld.restart();
        }),
        { numRuns: propertyRuns(100) },
      );
    });

    it(`brings a ${mode} job to its model once its sites are back`, () => {
      const completed = { count: 0 };
      fc.assert(
        fc.property(trial, (one) => {
          const trialWorld = explore(mode, one);
          finishTogether(trialWorld);
          trialWorld.restart();
          completed.count += Number(trialWorld.job.phase === 'Complete');
        }),
        { numRuns: propertyRuns(60) },
      );
      assert.ok(completed.count > 0, 'no job of any run came to its end');
    });
  }
});
