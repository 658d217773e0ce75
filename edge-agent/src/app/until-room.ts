import { TributaryError } from '@tributary/proto';

import { waitAfter } from '../domain/backoff.js';
import { redact } from '../domain/redaction.js';
import type { Clock, Random } from '../ports.js';
import type { Log } from './log.js';
import { pause, uniform } from './pause.js';

export interface RoomParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Does `work`, and does it again while the disk is full: what was made and is not kept yet waits for room. `work` may be
 * repeated. Rejects with whatever else it meets, and as soon as `signal` is aborted.
 */
export async function untilRoom<T>(
  { clock, random, log }: RoomParts,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      const known = TributaryError.from(error);
      if (known.code !== 'STORE_FULL' || signal.aborted) throw error;
      const { code, detail } = redact(known);
      log.warn({ code, detail }, 'waits for room on the disk');
      await pause(clock, waitAfter(known, failures, uniform(random)), signal);
    }
  }
}
