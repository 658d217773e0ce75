import { LIMITS } from '@tributary/proto';

/**
 * Full jitter (Brooker, "Exponential Backoff and Jitter", 2015) above a floor: uniform between the minimum and
 * min(maximum, minimum * 2^attempt), so that a fleet does not return in step after an outage.
 *
 * @param attempt failures in a row before this wait, from 0
 * @param random uniform in [0, 1)
 * @returns milliseconds
 */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(LIMITS.reconnectMaxMs, LIMITS.reconnectMinMs * 2 ** Math.min(attempt + 1, 16));
  return Math.round(LIMITS.reconnectMinMs + random * (ceiling - LIMITS.reconnectMinMs));
}
