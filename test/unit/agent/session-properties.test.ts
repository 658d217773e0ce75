import assert from 'node:assert/strict';

import type { ErrorCode } from '@tributary/proto';
import {
  roundKey,
  supersedes,
  type RoundKey,
  type RoundOrder,
} from '@tributary/edge-agent/internal/domain/round-key.js';
import { step } from '@tributary/edge-agent/internal/domain/session.js';
import {
  INITIAL_SESSION,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
} from '@tributary/edge-agent/internal/domain/session-state.js';
import fc from 'fast-check';

import { propertyRuns } from '../../support/property-runs.js';
import { SessionSite, type SiteHappening } from '../../support/session-site.js';
import { baseDigest, order, phases, trained, uploadFailed } from '../../support/session-events.js';

describe('session of the agent, whatever happens', () => {
  it('keeps its promises under any sequence of events', () => {
    fc.assert(fc.property(fc.array(anyEvent, { maxLength: 60 }), checkPromises), {
      numRuns: propertyRuns(2_000),
    });
  });

  it('loses no update, sends none twice at once, and leaves nothing, over crashes, repeats and late answers', () => {
    const list = fc.array(anyHappening, { maxLength: 80, size: 'max' });
    fc.assert(
      fc.property(list, fc.boolean(), (happenings, crashes) => {
        const site = new SessionSite();
        for (const one of happenings) site.happen(one);
        site.finish(ORDERS, crashes);
      }),
      { numRuns: propertyRuns(1_000) },
    );
  });
});

const anyOrder = fc
  .record({
    round: fc.integer({ min: 1, max: 3 }),
    attempt: fc.integer({ min: 0, max: 1 }),
    job: fc.constantFrom('job-a', 'job-b', 'job-m'),
  })
  .map(({ round, attempt, job }) => order(round, attempt, job, job === 'job-m'));
const anyId = fc.constantFrom('o1', 'o2', 'o3', 'o4');
const anyCode = fc.constantFrom<ErrorCode>(
  'UNAVAILABLE',
  'UPDATE_CORRUPT',
  'UPDATE_LATE',
  'STORE_FULL',
  'CONFLICT',
);

const STRAYS: ReadonlySet<string> = new Set([
  'RoundAllowed',
  'TrainingFailed',
  'Uploaded',
  'UploadFailed',
  'RetryDue',
]);

const anyEvent: fc.Arbitrary<SessionEvent> = fc.oneof(
  fc.constant<SessionEvent>({ type: 'LinkDown' }),
  fc.boolean().map((approved): SessionEvent => ({ type: 'LinkUp', approved })),
  anyId.map((orderId): SessionEvent => ({ type: 'OrderArrived', orderId })),
  fc
    .tuple(anyId, anyOrder)
    .map(([orderId, what]): SessionEvent => ({ type: 'RoundAllowed', orderId, order: what })),
  fc
    .tuple(anyId, anyOrder)
    .map(([orderId, round]): SessionEvent => ({ type: 'RoundSettled', orderId, round })),
  fc.tuple(anyId, anyOrder).map(([orderId, round]): SessionEvent => ({
    type: 'OrderRefused',
    orderId,
    code: 'POLICY_REFUSED',
    detail: '',
    round,
  })),
  anyOrder.map((what) => trained(what)),
  anyOrder.map((what): SessionEvent => ({
    type: 'TrainingFailed',
    key: roundKey(what),
    code: 'TRAINING_FAILED',
    detail: '',
  })),
  anyOrder.map((what): SessionEvent => ({ type: 'Uploaded', key: roundKey(what), seq: 7 })),
  fc.tuple(anyOrder, anyCode).map(([what, code]) => uploadFailed(what, code)),
  anyOrder.map((what): SessionEvent => ({ type: 'RetryDue', key: roundKey(what) })),
  anyOrder.map((what): SessionEvent => ({ type: 'Maskable', key: roundKey(what) })),
  anyOrder.map((what): SessionEvent => ({
    type: 'SecureFailed',
    key: roundKey(what),
    code: 'SECAGG_MESSAGE_INVALID',
    detail: '',
  })),
);

/** Few, so that much happens to each. */
const ORDERS = [
  order(1),
  order(1, 1),
  order(2),
  order(1, 0, 'job-b'),
  order(1, 0, 'job-m', true),
  order(2, 0, 'job-m', true),
];
const oneOrder = fc.constantFrom(...ORDERS);
const which = fc.nat(20);

/** Strays are what no work that is under way leads to; that an update lies in the outbox is never one of them. */
const anyHappening: fc.Arbitrary<SiteHappening> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('order' as const), orderId: anyId }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('review' as const),
      which,
      order: oneOrder,
      verdict: fc.constantFrom('Allowed', 'Allowed', 'Allowed', 'Settled', 'Refused'),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('trained', 'trained', 'untrained'), which }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('uploaded' as const), which }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('upload-failed' as const), which, code: anyCode }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('retry' as const), which }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('maskable', 'maskable', 'secure-failed'), order: oneOrder }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('link' as const),
      to: fc.constantFrom('Ready', 'Ready', 'AwaitingApproval', 'Down'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('crash', 'crash', 'stop') }) },
  {
    weight: 2,
    arbitrary: anyEvent
      .filter(({ type }) => STRAYS.has(type))
      .map((event): SiteHappening => ({ kind: 'stray', event })),
  },
);

/** A second account of what must hold, kept from events and effects alone. */
class Ledgerkeeper {
  readonly verifying = new Set<string>();
  readonly allowed = new Set<RoundKey>();
  readonly everTrained = new Map<RoundKey, number>();
  readonly closed: RoundOrder[] = [];
  /** Secure rounds whose cohort was said to be known. */
  readonly maskable = new Set<RoundKey>();
  ready = false;

  before(event: SessionEvent): void {
    if (event.type === 'LinkUp') this.ready = event.approved;
    if (event.type === 'LinkDown') {
      this.ready = false;
      this.verifying.clear();
    }
    if (event.type === 'RoundAllowed' && this.verifying.delete(event.orderId))
      this.allowed.add(roundKey(event.order));
    if (event.type === 'RoundSettled' && this.verifying.delete(event.orderId))
      this.closed.push({ ...event.round, baseDigest, secure: false });
    if (event.type === 'OrderRefused' && this.verifying.delete(event.orderId) && event.round !== undefined)
      this.allowed.delete(roundKey(event.round));
    if (event.type === 'Maskable') this.maskable.add(event.key);
  }

  after(event: SessionEvent, effect: SessionEffect): void {
    switch (effect.type) {
      case 'Verify':
        assert.ok(!this.verifying.has(effect.orderId), 'verified twice at once');
        this.verifying.add(effect.orderId);
        break;
      case 'Train':
        assert.ok(
          this.allowed.has(effect.key) || this.everTrained.has(effect.key),
          'trained what was not allowed',
        );
        this.everTrained.set(effect.key, (this.everTrained.get(effect.key) ?? 0) + 1);
        break;
      case 'Upload':
        assert.ok(this.ready || effect.renew, 'uploaded without a connection');
        if (!effect.renew) assert.ok(this.allowed.has(effect.key), 'uploaded what is not allowed now');
        if (effect.key.startsWith('job-m'))
          assert.ok(this.maskable.has(effect.key), 'uploaded before the cohort was known');
        break;
      case 'Follow':
        assert.ok(effect.key.startsWith('job-m'), 'a step of a round that is not secure');
        assert.ok(
          event.type === 'RoundAllowed' || event.type === 'OrderArrived',
          `followed by ${event.type}`,
        );
        break;
      case 'Discard':
        assert.ok(
          ['Trained', 'RoundSettled', 'RoundAllowed', 'SecureFailed'].includes(event.type),
          `discarded by ${event.type}`,
        );
        break;
      default:
    }
  }
}

function checkPromises(events: readonly SessionEvent[]): void {
  const keeper = new Ledgerkeeper();
  let state = INITIAL_SESSION;
  for (const event of events) {
    keeper.before(event);
    const arrived = event.type === 'OrderArrived' && !state.verifying.includes(event.orderId);
    const next = step(state, event);
    for (const effect of next.effects) keeper.after(event, effect);
    if (arrived)
      assert.ok(
        next.effects.some(({ type }) => type === 'Verify' || type === 'Acknowledge'),
        'an order without an answer',
      );
    checkState(next.state);
    for (const round of state.rounds) checkKept(event, round.order, round.phase.name, next.state);
    state = next.state;
  }
}

function checkState(state: SessionState): void {
  const keys = state.rounds.map(({ order: what }) => roundKey(what));
  assert.equal(new Set(keys).size, keys.length, 'a round twice');
  assert.ok(phases(state).filter((name) => name === 'Training').length <= 1, 'two trainings');
  const idle = !phases(state).includes('Training');
  assert.ok(!(idle && phases(state).includes('Queued')), 'a queued training is not started');
}

/** What is in the outbox stays known until the ledger settles it. */
function checkKept(event: SessionEvent, what: RoundOrder, phase: string, next: SessionState): void {
  if (next.rounds.some(({ order: kept }) => roundKey(kept) === roundKey(what))) return;
  const by =
    event.type === 'RoundSettled' ? event.round : event.type === 'RoundAllowed' ? event.order : undefined;
  assert.ok(
    by !== undefined && (roundKey(by) === roundKey(what) || supersedes(by, what)),
    `${phase} of ${roundKey(what)} was lost by ${event.type}`,
  );
}
