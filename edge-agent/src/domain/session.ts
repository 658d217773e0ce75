import { LIMITS, type ErrorCode } from '@tributary/proto';

import { afterUploadFailure } from './outbox.js';
import { roundKey, supersedes, type RoundKey, type RoundOrder, type RoundRef } from './round-key.js';
import type {
  HeldUpdate,
  LinkEvent,
  OrderAnswer,
  OrderEvent,
  Round,
  SessionEffect,
  SessionEvent,
  SessionState,
  SessionStep,
  WorkEvent,
} from './session-state.js';

/** One transition. Events that do not fit the state (late, repeated, unknown) change nothing. */
export function step(state: SessionState, event: SessionEvent): SessionStep {
  switch (event.type) {
    case 'Recovered':
    case 'LinkUp':
    case 'LinkDown':
    case 'Stop':
      return onLink(state, event);
    case 'OrderArrived':
    case 'RoundAllowed':
    case 'RoundSettled':
    case 'OrderRefused':
      return onOrder(state, event);
    default:
      return onWork(state, event);
  }
}

function onLink(state: SessionState, event: LinkEvent): SessionStep {
  switch (event.type) {
    case 'Recovered':
      return stay({ ...state, rounds: event.held.map(recovered) });
    case 'LinkUp':
      return resumeUploads({ ...state, link: event.approved ? 'Ready' : 'AwaitingApproval' });
    case 'LinkDown':
      return stay({ ...state, link: 'Down', verifying: [] });
    case 'Stop':
      return stop(state);
    default:
      return unreachable(event);
  }
}

function onOrder(state: SessionState, event: OrderEvent): SessionStep {
  switch (event.type) {
    case 'OrderArrived':
      return orderArrived(state, event.orderId);
    case 'RoundAllowed':
      return roundAllowed(state, event.orderId, event.order);
    case 'RoundSettled':
      return roundSettled(state, event.orderId, event.round);
    case 'OrderRefused':
      return orderRefused(state, event);
    default:
      return unreachable(event);
  }
}

function onWork(state: SessionState, event: WorkEvent): SessionStep {
  switch (event.type) {
    case 'Trained':
      return trained(state, event.key, event.uploadId);
    case 'TrainingFailed':
      return trainingFailed(state, event.key, event.code, event.detail);
    case 'Uploaded':
      return uploaded(state, event.key, event.seq);
    case 'UploadFailed':
      return uploadFailed(state, event);
    case 'RetryDue':
      return upload(state, event.key);
    case 'Maskable':
      return maskable(state, event.key);
    case 'SecureFailed':
      return secureFailed(state, event.key, event.code, event.detail);
    default:
      return unreachable(event);
  }
}

function recovered({ uploadId, ...order }: HeldUpdate): Round {
  return { order, confirmed: false, maskable: false, phase: { name: 'Held', uploadId, tries: 0 } };
}

function orderArrived(state: SessionState, orderId: string): SessionStep {
  if (state.stopping || state.verifying.includes(orderId)) return stay(state);
  const known = state.answers.find((answer) => answer.orderId === orderId);
  if (known !== undefined) return repeatAnswer(state, known);
  return {
    state: { ...state, verifying: [...state.verifying, orderId] },
    effects: [{ type: 'Verify', orderId }],
  };
}

/** The order came again: the coordinator has lost sight of it, so say again what became of it. */
function repeatAnswer(state: SessionState, answer: OrderAnswer): SessionStep {
  const acknowledge: SessionEffect = { type: 'Acknowledge', answer };
  const round = answer.key === undefined ? undefined : find(state, answer.key);
  if (answer.key === undefined || round === undefined) return { state, effects: [acknowledge] };
  if (round.phase.name === 'Failed')
    return { state, effects: [acknowledge, failureOf(round.order, round.phase)] };
  const next = upload(state, answer.key);
  return { state: next.state, effects: [acknowledge, ...following(state, answer.key), ...next.effects] };
}

function roundAllowed(state: SessionState, orderId: string, order: RoundOrder): SessionStep {
  if (!state.verifying.includes(orderId)) return stay(state);
  if (isOver(state, order)) return answer(state, { orderId, accepted: true, code: '', detail: '' });
  const key = roundKey(order);
  const answered = answer(state, { orderId, accepted: true, code: '', detail: '', key });
  const cleared = settle(answered.state, (round) => supersedes(order, round.order));
  const before = find(cleared.state, key);
  const next =
    before === undefined
      ? startNext({
          ...cleared.state,
          rounds: [
            ...cleared.state.rounds,
            { order, confirmed: true, maskable: false, phase: { name: 'Queued' } },
          ],
        })
      : upload(update(cleared.state, key, { ...before, confirmed: true }), key);
  const effects = [...answered.effects, ...cleared.effects, ...following(next.state, key), ...next.effects];
  return { state: next.state, effects };
}

/** An order that was under way for long, or is played again: its round is settled, or a later one is open. */
function isOver({ closed, rounds }: SessionState, order: RoundOrder): boolean {
  return (
    closed.some((by) => roundKey(by) === roundKey(order) || supersedes(by, order)) ||
    rounds.some((round) => supersedes(round.order, order))
  );
}

/** The step of a secure round that an order asks for; taken again where it comes again, as the answer may be lost. */
function following(state: SessionState, key: RoundKey): readonly SessionEffect[] {
  const round = find(state, key);
  const follows = round?.order.secure === true && round.phase.name !== 'Failed' && !state.stopping;
  return follows ? [{ type: 'Follow', key }] : [];
}

function roundSettled(state: SessionState, orderId: string, ref: RoundRef): SessionStep {
  if (!state.verifying.includes(orderId)) return stay(state);
  const answered = answer(close(state, ref), { orderId, accepted: true, code: '', detail: '' });
  const cleared = settle(
    answered.state,
    (round) => roundKey(round.order) === roundKey(ref) || supersedes(ref, round.order),
  );
  const next = startNext(cleared.state);
  return { state: next.state, effects: [...answered.effects, ...cleared.effects, ...next.effects] };
}

function orderRefused(
  state: SessionState,
  event: Extract<OrderEvent, { type: 'OrderRefused' }>,
): SessionStep {
  if (!state.verifying.includes(event.orderId)) return stay(state);
  const { orderId, code, detail, wait } = event;
  const waiting = wait === undefined ? {} : { wait };
  const answered = answer(state, { orderId, accepted: false, code, detail, ...waiting });
  const round = event.round === undefined ? undefined : find(answered.state, roundKey(event.round));
  if (round === undefined) return answered;
  // The site's mind changed since the update was made (a stricter policy): what is held stays here.
  return {
    ...answered,
    state: update(answered.state, roundKey(round.order), { ...round, confirmed: false }),
  };
}

function trained(state: SessionState, key: RoundKey, uploadId: string): SessionStep {
  const round = find(state, key);
  // Settled meanwhile: what training left in the outbox has no round any more.
  if (round?.phase.name !== 'Training') return { state, effects: [{ type: 'Discard', key }] };
  const held = update(state, key, { ...round, phase: { name: 'Held', uploadId, tries: 0 } });
  const next = startNext(held);
  const sent = upload(next.state, key);
  return { state: sent.state, effects: [...next.effects, ...sent.effects] };
}

function trainingFailed(state: SessionState, key: RoundKey, code: ErrorCode, detail: string): SessionStep {
  const round = find(state, key);
  if (round?.phase.name !== 'Training') return startNext(state);
  const phase = { name: 'Failed', code, detail } as const;
  // Stopped with the process, not failed: the next process trains when the order comes again.
  if (state.stopping) return stay(update(state, key, { ...round, phase }));
  const next = startNext(update(state, key, { ...round, phase }));
  return prepend(failureOf(round.order, phase), next);
}

function uploaded(state: SessionState, key: RoundKey, seq: number): SessionStep {
  const round = find(state, key);
  if (round === undefined || round.phase.name !== 'Uploading') return stay(state);
  return stay(
    update(state, key, { ...round, phase: { name: 'Delivered', uploadId: round.phase.uploadId, seq } }),
  );
}

function uploadFailed(
  state: SessionState,
  { key, code, retryAfterMs }: Extract<WorkEvent, { type: 'UploadFailed' }>,
): SessionStep {
  const round = find(state, key);
  if (round === undefined || round.phase.name !== 'Uploading') return stay(state);
  const { uploadId } = round.phase;
  const tries = round.phase.tries + 1;
  const next = afterUploadFailure(code, tries);
  switch (next) {
    case 'GiveUp':
      return stay(update(state, key, { ...round, phase: { name: 'Refused', uploadId, code } }));
    case 'Renew':
      return {
        state: update(state, key, { ...round, phase: { name: 'Uploading', uploadId, tries } }),
        effects: [{ type: 'Upload', key, renew: true }],
      };
    case 'Retry':
      return {
        state: update(state, key, { ...round, phase: { name: 'Held', uploadId, tries } }),
        effects: [{ type: 'RetryLater', key, tries, ...(retryAfterMs !== undefined && { retryAfterMs }) }],
      };
    default:
      return unreachable(next);
  }
}

function maskable(state: SessionState, key: RoundKey): SessionStep {
  const round = find(state, key);
  return round === undefined ? stay(state) : upload(update(state, key, { ...round, maskable: true }), key);
}

/** Nothing of the round leaves any more: what is held goes with it, and training for it stops. */
function secureFailed(state: SessionState, key: RoundKey, code: ErrorCode, detail: string): SessionStep {
  const round = find(state, key);
  if (round === undefined || round.phase.name === 'Failed') return stay(state);
  const phase = { name: 'Failed', code, detail } as const;
  const next = startNext(update(state, key, { ...round, phase }));
  const effects = [...settling(round), failureOf(round.order, phase)];
  return { state: next.state, effects: [...effects, ...next.effects] };
}

function stop(state: SessionState): SessionStep {
  const effects = state.rounds.flatMap((round): SessionEffect[] => {
    if (round.phase.name === 'Training') return [{ type: 'StopTraining', key: roundKey(round.order) }];
    if (round.phase.name === 'Uploading') return [{ type: 'StopUpload', key: roundKey(round.order) }];
    return [];
  });
  return { state: { ...state, stopping: true }, effects };
}

/** Sends what is held, where the site has allowed it and the coordinator listens. */
function upload(state: SessionState, key: RoundKey): SessionStep {
  const round = find(state, key);
  if (round === undefined || round.phase.name !== 'Held') return stay(state);
  if (!round.confirmed || state.link !== 'Ready' || state.stopping) return stay(state);
  if (round.order.secure && !round.maskable) return stay(state);
  const { uploadId, tries } = round.phase;
  return {
    state: update(state, key, { ...round, phase: { name: 'Uploading', uploadId, tries } }),
    effects: [{ type: 'Upload', key, renew: false }],
  };
}

function resumeUploads(state: SessionState): SessionStep {
  return state.rounds.reduce<SessionStep>((before, round) => {
    const next = upload(before.state, roundKey(round.order));
    return { state: next.state, effects: [...before.effects, ...next.effects] };
  }, stay(state));
}

/** Starts the oldest queued training where none runs. */
function startNext(state: SessionState): SessionStep {
  const queued = state.rounds.find((round) => round.phase.name === 'Queued');
  const busy = state.rounds.some((round) => round.phase.name === 'Training');
  if (queued === undefined || busy || state.stopping) return stay(state);
  const key = roundKey(queued.order);
  return {
    state: update(state, key, { ...queued, phase: { name: 'Training' } }),
    effects: [{ type: 'Train', key }],
  };
}

/** Forgets the rounds that the ledger has closed. */
function settle(state: SessionState, closed: (round: Round) => boolean): SessionStep {
  const effects = state.rounds.filter(closed).flatMap((round) => settling(round));
  return { state: { ...state, rounds: state.rounds.filter((round) => !closed(round)) }, effects };
}

/** Notes that a round is settled. */
function close(state: SessionState, { jobId, round, attempt }: RoundRef): SessionState {
  const known = state.closed.find((ref) => ref.jobId === jobId);
  const ref = { jobId, round, attempt };
  const newest = known !== undefined && supersedes(known, ref) ? known : ref;
  const others = state.closed.filter((one) => one.jobId !== jobId);
  return { ...state, closed: [...others, newest].slice(-LIMITS.answersKept) };
}

function settling(round: Round): SessionEffect[] {
  const key = roundKey(round.order);
  switch (round.phase.name) {
    case 'Queued':
    case 'Failed':
      return [];
    case 'Training':
      return [{ type: 'StopTraining', key }];
    case 'Uploading':
      return [
        { type: 'StopUpload', key },
        { type: 'Discard', key },
      ];
    case 'Held':
    case 'Delivered':
    case 'Refused':
      return [{ type: 'Discard', key }];
    default:
      return unreachable(round.phase);
  }
}

function answer(state: SessionState, given: OrderAnswer): SessionStep {
  return {
    state: {
      ...state,
      verifying: state.verifying.filter((orderId) => orderId !== given.orderId),
      answers: [...state.answers, given].slice(-LIMITS.answersKept),
    },
    effects: [{ type: 'Acknowledge', answer: given }],
  };
}

const failureOf = (
  round: RoundRef,
  { code, detail }: { code: ErrorCode; detail: string },
): SessionEffect => ({
  type: 'ReportFailure',
  round,
  code,
  detail,
});

const find = (state: SessionState, key: RoundKey): Round | undefined =>
  state.rounds.find((round) => roundKey(round.order) === key);

const update = (state: SessionState, key: RoundKey, next: Round): SessionState => ({
  ...state,
  rounds: state.rounds.map((round) => (roundKey(round.order) === key ? next : round)),
});

const stay = (state: SessionState): SessionStep => ({ state, effects: [] });
const prepend = (effect: SessionEffect, { state, effects }: SessionStep): SessionStep => ({
  state,
  effects: [effect, ...effects],
});

function unreachable(value: never): never {
  throw new TypeError(`unreachable: ${JSON.stringify(value)}`);
}
