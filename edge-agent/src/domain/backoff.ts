import { LIMITS, type TributaryError } from '@tributary/proto';

/** Growth of the longest wait with each failure: it stays below half of the time that the other side was away. */
const GROWTH = 1.2;

/**
 * Full jitter (Brooker, "Exponential Backoff and Jitter", 2015) above a floor: uniform between the minimum and
 * min(maximum, 2 * minimum * growth^attempt), so that a fleet does not return in step after an outage, and a coordinator
 * that was away for the seconds of a restart has its sites back in about as many.
 *
 * @param attempt failures in a row before this wait, from 0
 * @param random uniform in [0, 1)
 * @returns milliseconds
 */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(
    LIMITS.reconnectMaxMs,
    2 * LIMITS.reconnectMinMs * GROWTH ** Math.min(attempt, 64),
  );
  return Math.round(LIMITS.reconnectMinMs + random * (ceiling - LIMITS.reconnectMinMs));
}

/**
 * Milliseconds before another try. Where the other side said when to come back (`retryAfterMs`), not before that, and
 * spread over as much again, so that those who were turned away together do not return together.
 *
 * @param attempt failures in a row before this wait, from 0
 * @param random uniform in [0, 1)
 */
export function waitAfter(
  { fields }: Pick<TributaryError, 'fields'>,
  attempt: number,
  random: number,
): number {
  const asked = fields['retryAfterMs'];
  if (typeof asked !== 'number' || !(asked > 0)) return backoffMs(attempt, random);
  return Math.round(Math.min(asked, LIMITS.retryAfterMaxMs) * (1 + random));
}
