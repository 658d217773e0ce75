import { setTimeout as sleep } from 'node:timers/promises';

import { LIMITS, TributaryError } from '@tributary/proto';
import type { WatchEvent__Output } from '@tributary/proto/grpc';

import type { Session } from './session.js';

/**
 * Objects of a kind (all, or the one called `name`) as they are, then every change: one stream that survives a restart
 * of the coordinator by resuming after the last ledger sequence seen. Ends when the session is interrupted.
 */
export async function* watchObjects(
  session: Session,
  kind: string,
  name: string,
): AsyncGenerator<WatchEvent__Output, void, undefined> {
  const admin = await session.admin();
  let afterSeq: string | undefined;
  let failures = 0;
  while (!session.signal.aborted) {
    const request = afterSeq === undefined ? { kind, name } : { kind, name, afterSeq };
    try {
      for await (const event of admin.stream('WatchObjects', request, session.signal)) {
        failures = 0;
        afterSeq = event.seq;
        yield event;
      }
    } catch (cause) {
      const error = TributaryError.from(cause);
      if (session.signal.aborted) return;
      if (!error.retryable) throw error;
      if (failures === 0) session.terminal.note(`${error.message}; trying again`);
      failures += 1;
    }
    await sleep(Math.min(LIMITS.reconnectMaxMs, LIMITS.reconnectMinMs * 2 ** failures), undefined, {
      signal: session.signal,
    }).catch(() => undefined);
  }
}
