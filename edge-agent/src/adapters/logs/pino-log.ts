import { TributaryError } from '@tributary/proto';
import { pino, type DestinationStream } from 'pino';

import type { Log } from '../../app/log.js';

/** Fields that never reach a line, whoever passes them. */
const SECRET_FIELDS = ['token', 'seed', 'password', 'privateKey', 'tlsKey', 'identitySeed', 'weights', 'delta', 'row', 'cell'];

/** JSON lines with RFC 3339 times, on standard output unless `destination` says otherwise. */
export function createLog(level: string, destination: DestinationStream = pino.destination({ fd: 1, sync: true })): Log {
  return pino(
    {
      level,
      base: { service: 'agent' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS, censor: '[redacted]' },
    },
    destination,
  );
}

/**
 * What a log may hold of an error that is not ours: its class and where in the code it arose. Its message may quote a
 * record, so it stays out, and so does the first line of the stack, which repeats it.
 */
export function describeUnexpected(error: unknown): Readonly<Record<string, string>> {
  if (error instanceof TributaryError && error.cause !== undefined) return { code: error.code, ...describeUnexpected(error.cause) };
  if (!(error instanceof Error)) return { class: typeof error };
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return { class: error.name, stack: frames.join('\n') };
}
