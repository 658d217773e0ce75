import type { LedgerEntry } from '@tributary/proto';

import type { Log } from './log.js';

/** Fields of an entry's body that a log line shows: names, numbers and codes; never a document or a key. */
const SHOWN = [
  'round',
  'attempt',
  'site',
  'agentId',
  'uploadId',
  'code',
  'detail',
  'reason',
  'model',
  'version',
  'role',
  'bytes',
] as const;

/** Writes a line for a decision, so that a log alone tells what happened to a job or a site. */
export function logDecision(log: Log, entry: LedgerEntry): void {
  const body = entry.body as Readonly<Record<string, unknown>>;
  const shown = SHOWN.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]] as const]));
  const job = typeof body['jobId'] === 'string' ? { job: body['jobId'] } : {};
  const fields = {
    seq: entry.seq,
    type: entry.type,
    actor: entry.actor,
    ...job,
    ...Object.fromEntries(shown),
  };
  if (entry.type === 'alarm.raised') log.warn(fields, 'alarm');
  else log.info(fields, 'decided');
}
