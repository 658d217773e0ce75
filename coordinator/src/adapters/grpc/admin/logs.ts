import { LIMITS, TributaryError } from '@tributary/proto';
import type { LogLine, StreamLogsRequest__Output } from '@tributary/proto/grpc';

import { concerns, type BufferedLine } from '../../logs/log-buffer.js';
import type { CallContext, Sink } from '../calls.js';
import { fromStreamLogs } from '../wire/admin.js';
import type { AdminParts } from './parts.js';
import { BoundedQueue } from './queue.js';

/** Lines sent first where the caller does not say how many. */
const DEFAULT_TAIL = 100;

/** Kept lines, then, where asked for, every later one until the caller leaves. */
export async function streamLogs(
  { logs, federation }: AdminParts,
  request: StreamLogsRequest__Output,
  sink: Sink<LogLine>,
  context: CallContext,
): Promise<void> {
  const { subject, follow, tail } = fromStreamLogs(request);
  const queue = new BoundedQueue<BufferedLine>(LIMITS.logLinesKept, overflow);
  const names = namesOf(federation.state, subject);
  const wanted = (line: BufferedLine): boolean => names.some((name) => concerns(line, name));
  const stop = logs.follow((line) => {
    if (follow && wanted(line)) queue.push(line);
  });
  try {
    const kept = logs
      .tail(LIMITS.logLinesKept)
      .filter(wanted)
      .slice(-(tail === 0 ? DEFAULT_TAIL : tail));
    for (const { line } of kept) await sink.write({ line });
    while (follow && !context.signal.aborted) {
      const next = await queue.next(LIMITS.keepaliveTimeMs, context);
      if (next !== undefined) await sink.write({ line: next.line });
    }
  } finally {
    stop();
  }
}

/** Lines carry the id of a job; people know its name. */
function namesOf(state: AdminParts['federation']['state'], subject: string): readonly string[] {
  const ids = [...state.jobs.values()].filter((job) => job.name === subject).map((job) => job.jobId);
  return [subject, ...ids];
}

function overflow(): TributaryError {
  return new TributaryError('OVERLOADED', 'log lines come faster than they are read', {
    hint: 'follow again, or name a job or site',
    fields: { retryAfterMs: LIMITS.retryAfterMs },
  });
}
