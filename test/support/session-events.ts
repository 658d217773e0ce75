import { digestOf, type ErrorCode } from '@tributary/proto';
import { roundKey, type RoundOrder } from '@tributary/edge-agent/internal/domain/round-key.js';
import { step } from '@tributary/edge-agent/internal/domain/session.js';
import {
  INITIAL_SESSION,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
} from '@tributary/edge-agent/internal/domain/session-state.js';

export const baseDigest = digestOf(new Uint8Array([1]));
export const order = (round: number, attempt = 0, jobId = 'job-a', secure = false): RoundOrder => ({
  jobId,
  round,
  attempt,
  baseDigest,
  secure,
});
export const UPLOAD = 'upl-1';

/** Feeds events and collects all effects. */
export function feed(
  events: readonly SessionEvent[],
  from: SessionState = INITIAL_SESSION,
): { state: SessionState; effects: SessionEffect[] } {
  let state = from;
  const effects: SessionEffect[] = [];
  for (const event of events) {
    const next = step(state, event);
    state = next.state;
    effects.push(...next.effects);
  }
  return { state, effects };
}

export const types = (effects: readonly SessionEffect[]): string[] => effects.map(({ type }) => type);
export const phases = (state: SessionState): string[] => state.rounds.map(({ phase }) => phase.name);

export const up: SessionEvent = { type: 'LinkUp', approved: true };
export const ordered = (orderId: string, what: RoundOrder): SessionEvent[] => [
  { type: 'OrderArrived', orderId },
  { type: 'RoundAllowed', orderId, order: what },
];
export const trained = (what: RoundOrder, uploadId = UPLOAD): SessionEvent => ({
  type: 'Trained',
  key: roundKey(what),
  uploadId,
});
export const settled = (orderId: string, round: RoundOrder): SessionEvent[] => [
  { type: 'OrderArrived', orderId },
  { type: 'RoundSettled', orderId, round },
];
export const uploadFailed = (what: RoundOrder, code: ErrorCode): SessionEvent => ({
  type: 'UploadFailed',
  key: roundKey(what),
  code,
  detail: '',
});
