import { INITIAL_SESSION } from '../domain/session-state.js';
import type { DutyPlan } from './duty.js';

/** A replica has none: it refuses whatever is not about a rollout, which a coordinator never orders it. */
export const REPLICA_DUTY: DutyPlan = {
  kind: 'Serving',
  prepare: ({ send }) =>
    Promise.resolve({
      offer: { backend: '', datasets: [] },
      session: INITIAL_SESSION,
      begin: () => Promise.resolve(),
      up: () => undefined,
      down: () => undefined,
      order: ({ orderId }) => {
        const detail = 'a replica takes part in no round';
        send({ type: 'Acknowledge', orderId, accepted: false, code: 'PERMISSION_DENIED', detail });
      },
      stop: () => Promise.resolve(),
    }),
};
