import assert from 'node:assert/strict';

import { LIMITS } from '@tributary/proto';
import { roundKey } from '@tributary/edge-agent/internal/domain/round-key.js';
import {
  INITIAL_SESSION,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
} from '@tributary/edge-agent/internal/domain/session-state.js';

import {
  feed,
  order,
  ordered,
  phases,
  settled,
  trained,
  types,
  up,
  UPLOAD,
  uploadFailed,
} from '../../support/session-events.js';

const masked = order(1, 0, 'job-m', true);
const maskedKey = roundKey(masked);
const maskable: SessionEvent = { type: 'Maskable', key: maskedKey };
const outOfIt: SessionEvent = {
  type: 'SecureFailed',
  key: maskedKey,
  code: 'SECAGG_STAGE_PASSED',
  detail: 'x',
};
describe('session of the agent', () => {
  it('verifies, trains, uploads, and forgets the round once it is settled', () => {
    const one = order(1);
    const { state, effects } = feed([
      up,
      ...ordered('o1', one),
      trained(one),
      { type: 'Uploaded', key: roundKey(one), seq: 9 },
      ...settled('o2', one),
    ]);
    assert.deepEqual(types(effects), [
      'Verify',
      'Acknowledge',
      'Train',
      'Upload',
      'Verify',
      'Acknowledge',
      'Discard',
    ]);
    assert.deepEqual(state.rounds, []);
  });

  it('answers a repeated order with the first answer and neither verifies nor trains again', () => {
    const one = order(1);
    const { state } = feed([up, ...ordered('o1', one)]);
    const { effects } = feed([{ type: 'OrderArrived', orderId: 'o1' }], state);
    assert.deepEqual(effects, [
      {
        type: 'Acknowledge',
        answer: { orderId: 'o1', accepted: true, code: '', detail: '', key: roundKey(one) },
      },
    ]);
  });

  it('sends what an earlier process trained only after its order was allowed again', () => {
    const one = order(1);
    const recovered = feed([{ type: 'Recovered', held: [{ ...one, uploadId: UPLOAD }] }, up]);
    assert.deepEqual(recovered.effects, []);
    const { effects } = feed(ordered('o1', one), recovered.state);
    assert.deepEqual(types(effects), ['Verify', 'Acknowledge', 'Upload']);
  });

  it('keeps what it holds where the policy refuses the order this time', () => {
    const one = order(1);
    const { state, effects } = feed([
      { type: 'Recovered', held: [{ ...one, uploadId: UPLOAD }] },
      up,
      { type: 'OrderArrived', orderId: 'o1' },
      { type: 'OrderRefused', orderId: 'o1', code: 'POLICY_REFUSED', detail: 'x', round: one },
    ]);
    assert.deepEqual(types(effects), ['Verify', 'Acknowledge']);
    assert.deepEqual(phases(state), ['Held']);
    assert.deepEqual(feed([{ type: 'LinkDown' }, up], state).effects, []);
  });

  it('waits for the connection and for approval before it uploads', () => {
    const one = order(1);
    const before = feed([up, ...ordered('o1', one), { type: 'LinkDown' }, trained(one)]);
    assert.deepEqual(phases(before.state), ['Held']);
    assert.deepEqual(feed([{ type: 'LinkUp', approved: false }], before.state).effects, []);
    assert.deepEqual(types(feed([up], before.state).effects), ['Upload']);
  });

  it('tries an upload again later, renews a corrupt envelope, and gives up what was refused', () => {
    const one = order(1);
    const { state } = feed([up, ...ordered('o1', one), trained(one)]);
    const lost = feed([uploadFailed(one, 'UNAVAILABLE')], state);
    assert.deepEqual(lost.effects, [{ type: 'RetryLater', key: roundKey(one), tries: 1 }]);
    assert.deepEqual(types(feed([{ type: 'RetryDue', key: roundKey(one) }], lost.state).effects), ['Upload']);
    assert.deepEqual(feed([uploadFailed(one, 'UPDATE_CORRUPT')], state).effects, [
      { type: 'Upload', key: roundKey(one), renew: true },
    ]);
    const corrupt = feed(
      Array.from({ length: 3 }, () => uploadFailed(one, 'UPDATE_CORRUPT')),
      state,
    );
    assert.deepEqual(phases(corrupt.state), ['Refused']);
    const refused = feed([uploadFailed(one, 'UPDATE_LATE')], state);
    assert.deepEqual([phases(refused.state), refused.effects], [['Refused'], []]);
    assert.deepEqual(types(feed(settled('o2', one), refused.state).effects).slice(-1), ['Discard']);
  });

  it('reports a failed training once, and again where the order comes again', () => {
    const one = order(1);
    const failed = feed([
      up,
      ...ordered('o1', one),
      { type: 'TrainingFailed', key: roundKey(one), code: 'DATASET_INVALID', detail: 'line 3' },
    ]);
    assert.deepEqual(failed.effects.at(-1), {
      type: 'ReportFailure',
      round: one,
      code: 'DATASET_INVALID',
      detail: 'line 3',
    });
    assert.deepEqual(types(feed([{ type: 'OrderArrived', orderId: 'o1' }], failed.state).effects), [
      'Acknowledge',
      'ReportFailure',
    ]);
  });

  it('stops a training whose round was closed, and discards what it still leaves', () => {
    const one = order(1);
    const closed = feed([up, ...ordered('o1', one), ...settled('o2', one)]);
    assert.deepEqual(types(closed.effects).slice(-1), ['StopTraining']);
    assert.deepEqual(feed([trained(one)], closed.state).effects, [{ type: 'Discard', key: roundKey(one) }]);
  });

  it('takes a later round of the job as the end of earlier ones', () => {
    const [one, two] = [order(1), order(2)];
    const { state, effects } = feed([up, ...ordered('o1', one), trained(one), ...ordered('o2', two)]);
    assert.deepEqual(types(effects).slice(-4), ['Acknowledge', 'StopUpload', 'Discard', 'Train']);
    assert.deepEqual(phases(state), ['Training']);
  });

  it('trains nothing for an order that comes after its round was settled, or after a later one was opened', () => {
    const done = feed([up, ...ordered('o1', order(2)), ...settled('o2', order(2))]);
    assert.deepEqual(types(feed(ordered('o3', order(2)), done.state).effects), ['Verify', 'Acknowledge']);
    assert.deepEqual(types(feed(ordered('o3', order(1)), done.state).effects), ['Verify', 'Acknowledge']);
    const next = feed(ordered('o4', order(3)), done.state);
    assert.deepEqual(types(next.effects), ['Verify', 'Acknowledge', 'Train']);
    assert.deepEqual(types(feed(ordered('o5', order(2, 1)), next.state).effects), ['Verify', 'Acknowledge']);
    assert.deepEqual(types(feed(ordered('o6', order(1, 0, 'job-b')), next.state).effects), [
      'Verify',
      'Acknowledge',
    ]);
  });

  it('trains jobs one after the other', () => {
    const [a, b] = [order(1), order(1, 0, 'job-b')];
    const both = feed([up, ...ordered('o1', a), ...ordered('o2', b)]);
    assert.deepEqual(phases(both.state), ['Training', 'Queued']);
    assert.deepEqual(types(feed([trained(a)], both.state).effects), ['Train', 'Upload']);
    assert.deepEqual(
      types(
        feed([{ type: 'TrainingFailed', key: roundKey(a), code: 'TRAINING_FAILED', detail: '' }], both.state)
          .effects,
      ),
      ['ReportFailure', 'Train'],
    );
  });

  it('does not report a training that ended with the process', () => {
    const one = order(1);
    const stopped = feed([up, ...ordered('o1', one), { type: 'Stop' }]);
    assert.deepEqual(types(stopped.effects).slice(-1), ['StopTraining']);
    assert.deepEqual(
      feed([{ type: 'TrainingFailed', key: roundKey(one), code: 'JOB_CANCELLED', detail: '' }], stopped.state)
        .effects,
      [],
    );
    assert.deepEqual(feed([{ type: 'OrderArrived', orderId: 'o9' }], stopped.state).effects, []);
    const uploading = feed([up, ...ordered('o1', one), trained(one), { type: 'Stop' }]);
    assert.deepEqual(types(uploading.effects).slice(-1), ['StopUpload']);
  });

  it('sends the update of a secure round once it is trained and the cohort is known, in any order', () => {
    const begun = feed([up, ...ordered('o1', masked)]);
    assert.deepEqual(types(begun.effects), ['Verify', 'Acknowledge', 'Follow', 'Train']);
    const first = feed([trained(masked)], begun.state);
    assert.deepEqual([phases(first.state), first.effects], [['Held'], []]);
    assert.deepEqual(types(feed([maskable], first.state).effects), ['Upload']);
    const second = feed([maskable], begun.state);
    assert.deepEqual(second.effects, []);
    assert.deepEqual(types(feed([trained(masked)], second.state).effects), ['Upload']);
    assert.deepEqual(feed([maskable, maskable], feed([trained(masked)], second.state).state).effects, []);
  });

  it('takes the step of a secure round again where its order comes again: its answer may be lost', () => {
    const { state } = feed([up, ...ordered('o1', masked), { type: 'LinkDown' }, up]);
    assert.deepEqual(types(feed([{ type: 'OrderArrived', orderId: 'o1' }], state).effects), [
      'Acknowledge',
      'Follow',
    ]);
    const plain = feed([up, ...ordered('o1', order(1))]);
    assert.ok(!types(plain.effects).includes('Follow'));
  });

  it('sends nothing of a secure round that an earlier process trained before the cohort is known anew', () => {
    const recovered = feed([{ type: 'Recovered', held: [{ ...masked, uploadId: UPLOAD }] }, up]);
    const again = feed(ordered('o1', masked), recovered.state);
    assert.deepEqual(types(again.effects), ['Verify', 'Acknowledge', 'Follow']);
    assert.deepEqual(feed([{ type: 'LinkDown' }, up], again.state).effects, []);
    assert.deepEqual(types(feed([maskable], again.state).effects), ['Upload']);
  });

  it('lets nothing of a secure round leave that it is out of, and says so', () => {
    const report: SessionEffect = {
      type: 'ReportFailure',
      round: masked,
      code: 'SECAGG_STAGE_PASSED',
      detail: 'x',
    };
    const training = feed([up, ...ordered('o1', masked)]).state;
    const [held, uploading] = [
      feed([trained(masked)], training),
      feed([maskable, trained(masked)], training),
    ];
    const delivered = feed([{ type: 'Uploaded', key: maskedKey, seq: 3 }], uploading.state);
    const expected: [SessionState, SessionEffect['type'][]][] = [
      [training, ['StopTraining']],
      [held.state, ['Discard']],
      [uploading.state, ['StopUpload', 'Discard']],
      [delivered.state, ['Discard']],
    ];
    for (const [state, ends] of expected) {
      const failed = feed([outOfIt], state);
      assert.deepEqual(types(failed.effects), [...ends, 'ReportFailure']);
      assert.deepEqual(failed.effects.at(-1), report);
      assert.deepEqual(phases(failed.state), ['Failed']);
      // A second reason, or what comes late, changes nothing.
      const late: SessionEvent[] = [outOfIt, maskable, { type: 'Uploaded', key: maskedKey, seq: 3 }];
      assert.deepEqual(feed(late, failed.state).effects, []);
      assert.deepEqual(feed([{ type: 'OrderArrived', orderId: 'o1' }], failed.state).effects.slice(1), [
        report,
      ]);
      assert.deepEqual(types(feed(ordered('o2', masked), failed.state).effects), ['Verify', 'Acknowledge']);
    }
    assert.deepEqual(feed([trained(masked)], feed([outOfIt], training).state).effects, [
      { type: 'Discard', key: maskedKey },
    ]);
  });

  it('starts what waited for the training of a secure round that it is out of', () => {
    const other = order(1);
    const both = feed([up, ...ordered('o1', masked), ...ordered('o2', other)]);
    assert.deepEqual(types(feed([outOfIt], both.state).effects), ['StopTraining', 'ReportFailure', 'Train']);
  });

  it('ignores what it did not ask for', () => {
    const key = roundKey(order(1));
    const strays: SessionEvent[] = [
      { type: 'RoundAllowed', orderId: 'o1', order: order(1) },
      { type: 'RoundSettled', orderId: 'o1', round: order(1) },
      { type: 'OrderRefused', orderId: 'o1', code: 'POLICY_MISSING', detail: '' },
      { type: 'Uploaded', key, seq: 1 },
      uploadFailed(order(1), 'UNAVAILABLE'),
      { type: 'RetryDue', key },
      { type: 'TrainingFailed', key, code: 'TRAINING_FAILED', detail: '' },
      { type: 'Maskable', key },
      { type: 'SecureFailed', key, code: 'SECAGG_STAGE_PASSED', detail: '' },
    ];
    assert.deepEqual(feed(strays), { state: INITIAL_SESSION, effects: [] });
  });

  it('remembers a bounded number of answers', () => {
    const events = Array.from({ length: LIMITS.answersKept + 5 }, (_, index): SessionEvent[] => [
      { type: 'OrderArrived', orderId: `o${String(index)}` },
      { type: 'OrderRefused', orderId: `o${String(index)}`, code: 'POLICY_MISSING', detail: '' },
    ]).flat();
    assert.equal(feed([up, ...events]).state.answers.length, LIMITS.answersKept);
  });
});
