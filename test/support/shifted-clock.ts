import type { Clock } from '@tributary/edge-agent/internal/ports.js';
import { systemClock } from '@tributary/edge-agent/internal/adapters/system/clock.js';

/** A clock that shows `nowMs` now and goes on from there: data of another day is of today again. */
export function clockFrom(nowMs: number): Clock {
  const aheadMs = Date.now() - nowMs;
  return {
    now: () => systemClock.now() - aheadMs,
    at: (atMs, action) => systemClock.at(atMs + aheadMs, action),
  };
}
