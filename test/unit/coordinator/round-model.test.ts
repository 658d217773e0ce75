import assert from 'node:assert/strict';

import fc from 'fast-check';
import { TributaryError } from '@tributary/proto';
import { decodeSnapshot, encodeSnapshot } from '@tributary/coordinator/internal/domain/snapshot.js';
import { isFinished } from '@tributary/coordinator/internal/domain/job-queue.js';
import {
  gathersUpdates,
  PLAIN,
  type AggregationMode,
} from '@tributary/coordinator/internal/domain/rounds/aggregation-mode.js';
import { isUnfinished, openStage } from '@tributary/coordinator/internal/domain/rounds/round-progress.js';
import type { RoundState } from '@tributary/coordinator/internal/domain/rounds/round-state.js';

import { digestNamed, idOf, type FederationWorld, type Wish } from '../../support/federation-world.js';
import { stagedWorld, THREE_STAGES } from '../../support/staged-round.js';

const SITES = ['a', 'b', 'c', 'd', 'e', 'f'];

/** Deadline of the rounds of the test's job; that of the staged round is shorter. */
const LONGEST_ROUND_MS = 300_000;

/** What may happen to a round, in any order and any number of times. */
type Happening =
  | { readonly kind: 'report'; readonly site: string; readonly variant: number; readonly offset: number }
  | { readonly kind: 'decline' | 'refuse' | 'revoke'; readonly site: string }
  | { readonly kind: 'tick'; readonly ms: number }
  | { readonly kind: 'step' }
  | { readonly kind: 'restart' }
  | { readonly kind: 'stale'; readonly site: string };

const site = fc.constantFrom(...SITES);
const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('report' as const),
      site,
      // Variant 0 most often: repeats are then duplicates, others conflict with them.
      variant: fc.constantFrom(0, 0, 0, 1),
      // Which stage it is for, counted from the open one: an agent may be behind or ahead.
      offset: fc.constantFrom(0, 0, 0, -1, 1),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('decline' as const, 'refuse' as const, 'revoke' as const),
      site,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('tick' as const), ms: fc.nat(40_000) }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'step' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stale' as const), site }) },
);

const OK_REFUSALS = new Set([
  'UPDATE_WRONG_ROUND',
  'UPDATE_DUPLICATE',
  'UPDATE_LATE',
  'UPLOAD_ID_REUSED',
  'NOT_IN_COHORT',
  'AGENT_REVOKED',
  'INVALID_ARGUMENT',
  'CONFLICT',
]);

/** Runs a wish; a refusal must be a typed one that an agent may be told, and must change nothing. */
function attempt(world: FederationWorld, wish: Wish): void {
  const before = world.state;
  try {
    world.run(wish);
  } catch (error) {
    assert.ok(error instanceof TributaryError && OK_REFUSALS.has(error.code), String(error));
    assert.equal(world.state, before);
  }
}

function report(
  world: FederationWorld,
  round: RoundState,
  one: Extract<Happening, { kind: 'report' }>,
): void {
  const stage = round.stages[round.stage + one.offset];
  if (stage === undefined) return;
  const agentId = idOf('agt', one.site);
  const digest = digestNamed(`${stage.name} ${one.site} ${String(one.variant)}`);
  const ids = { jobId: round.jobId, round: round.round, attempt: round.attempt };
  if (gathersUpdates(stage.name)) attempt(world, world.update('loans', one.site, { sealDigest: digest }));
  else attempt(world, { kind: 'stage-message', ...ids, agentId, stage: stage.name, digest });
}

function happen(world: FederationWorld, one: Happening): void {
  const round = world.round('loans');
  const ids = { jobId: round.jobId, round: round.round, attempt: round.attempt };
  switch (one.kind) {
    case 'report':
      report(world, round, one);
      return;
    case 'decline':
      attempt(world, {
        kind: 'decline-round',
        ...ids,
        agentId: idOf('agt', one.site),
        code: 'TRAINING_FAILED',
        detail: '',
      });
      return;
    case 'refuse': {
      const uploadId = idOf('upl', one.site);
      const agentId = idOf('agt', one.site);
      attempt(world, {
        kind: 'refuse-update',
        ...ids,
        agentId,
        uploadId,
        code: 'UPDATE_NOT_FINITE',
        detail: '',
      });
      return;
    }
    case 'revoke':
      attempt(world, { kind: 'revoke-site', site: one.site, reason: '' });
      return;
    case 'stale':
      attempt(world, world.update('loans', one.site, { attempt: round.attempt + 1 }));
      return;
    case 'tick':
      world.now += one.ms;
      return;
    case 'step': {
      const step = world.next();
      if (step.kind !== 'wait') world.perform(step);
      return;
    }
    case 'restart':
      restart(world);
  }
}

/** What a crash leaves is the ledger, and perhaps a snapshot: both give the same state. */
function restart(world: FederationWorld): void {
  const replayed = world.replayed();
  assert.deepEqual(replayed, world.state);
  const restored = decodeSnapshot(encodeSnapshot(world.state));
  assert.deepEqual(restored, world.state);
  world.state = replayed;
}

/** What holds for every attempt at any time. */
function checkRound(round: RoundState): void {
  let admitted: ReadonlySet<string> = new Set(round.cohort.keys());
  for (const [index, stage] of round.stages.entries()) {
    if (index > round.stage) assert.equal(stage.reports.size, 0, 'a stage that is not open has reports');
    for (const one of stage.reports.keys())
      assert.ok(admitted.has(one), `${one} reported without the stage before`);
    if (stage.participants === undefined) continue;
    assert.deepEqual(stage.participants, [...stage.reports.keys()].sort());
    assert.ok(stage.participants.length >= stage.minimum);
    admitted = new Set(stage.participants);
  }
  assert.equal(
    new Set(Array.from(round.updates.values(), ({ uploadId }) => uploadId)).size,
    round.updates.size,
  );
  const stage = openStage(round);
  assert.ok(round.phase !== 'Open' || stage?.deadlineAt !== undefined, 'an open round without a deadline');
}

/** A round that nobody can add to, or that cannot reach its minimum, does not wait. */
function checkEager(world: FederationWorld, round: RoundState): void {
  const stage = openStage(round);
  if (stage === undefined) return;
  const admitted = round.stages[round.stage - 1]?.participants ?? SITES;
  const missing = [...round.cohort.values()].filter(({ site: name, fate }) => {
    return fate === 'Live' && admitted.includes(name) && !stage.reports.has(name);
  });
  const isHopeless = stage.reports.size + missing.length < stage.minimum;
  if (missing.length === 0 || isHopeless) assert.notEqual(world.next().kind, 'wait');
}

/** Announced sets never change, and nothing that was decided is taken back. */
function checkProgress(before: RoundState, after: RoundState): void {
  if (before.attempt !== after.attempt || before.round !== after.round) return;
  for (const [index, stage] of before.stages.entries()) {
    const later = after.stages[index];
    if (stage.participants !== undefined) assert.deepEqual(later?.participants, stage.participants);
    for (const [name, digest] of stage.reports) assert.equal(later?.reports.get(name), digest);
  }
  assert.ok(after.stage >= before.stage);
  const hadEnded = before.phase === 'Committed' || before.phase === 'Failed';
  assert.ok(!hadEnded || after.phase === before.phase, 'an attempt ended twice');
}

/** Without anything from outside, deadlines alone bring the job to its end: no stall. */
function checkEnds(world: FederationWorld): void {
  world.connected.clear();
  for (let steps = 0; steps < 100; steps += 1) {
    const job = world.job('loans');
    if (isFinished(job)) return;
    const round = world.round('loans');
    const step = world.next();
    if (step.kind === 'wait') {
      // No site is connected: a job between rounds waits for some, but not beyond its own deadline.
      assert.ok(step.untilMs !== undefined, `stalled: ${JSON.stringify(round.phase)}`);
      if (isUnfinished(round))
        assert.ok(step.untilMs <= round.openedAt + LONGEST_ROUND_MS, 'a stage without end');
      assert.ok(step.untilMs > world.now, 'a wait that is over');
    }
    world.perform(step);
  }
  assert.fail('the job does not end');
}

function explore(
  mode: AggregationMode,
  happenings: readonly Happening[],
  minimum: number,
  target: number,
): void {
  const world = stagedWorld(mode, SITES, minimum, target);
  for (const one of happenings) {
    const before = world.round('loans');
    happen(world, one);
    checkRound(world.round('loans'));
    checkEager(world, world.round('loans'));
    checkProgress(before, world.round('loans'));
  }
  restart(world);
  checkEnds(world);
  restart(world);
  checkLedger(world);
}

/** Seen from the ledger alone: every attempt ends once, and no site is counted twice in one sum. */
function checkLedger(world: FederationWorld): void {
  const ended = new Map<string, number>();
  const accepted = new Set<string>();
  for (const entry of world.entries) {
    if (entry.type === 'update.accepted') {
      const { round, attempt: tried, site: name } = entry.body;
      const key = `${String(round)}.${String(tried)} ${name}`;
      assert.ok(!accepted.has(key), `${name} was accepted twice`);
      accepted.add(key);
    }
    if (entry.type === 'round.committed')
      assert.equal(new Set(entry.body.folded).size, entry.body.folded.length);
    if (entry.type !== 'round.committed' && entry.type !== 'round.failed') continue;
    const key = `${String(entry.body.round)}.${String(entry.body.attempt)}`;
    ended.set(key, (ended.get(key) ?? 0) + 1);
  }
  const opened = world.entries.filter(({ type }) => type === 'round.opened').length;
  assert.equal(ended.size, opened);
  assert.ok([...ended.values()].every((times) => times === 1));
}

describe('the round machine, whatever happens', () => {
  for (const mode of [PLAIN, THREE_STAGES]) {
    it(`keeps its promises in mode ${mode.name}`, function () {
      this.timeout(60_000);
      const happenings = fc.array(happening, { maxLength: 50 });
      fc.assert(
        fc.property(
          happenings,
          fc.integer({ min: 1, max: 4 }),
          fc.constantFrom(0, 0, 4, 5),
          (list, minimum, target) => {
            explore(mode, list, minimum, target);
          },
        ),
        { numRuns: 50 },
      );
    });
  }
});
