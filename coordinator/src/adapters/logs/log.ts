import { pino, multistream, type DestinationStream, type Logger } from 'pino';

import { TributaryError } from '@tributary/proto';

import { LogBuffer } from './log-buffer.js';

export type Log = Logger;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Names of fields that never reach a log, at the top of a line or one level down. Call sites do not log such values;
 * this is the net below them.
 */
const SECRET_FIELDS = [
  'token',
  'seed',
  'secret',
  'secretKey',
  'privateKey',
  'key',
  'password',
  'contentKey',
  'authorization',
];

export interface LogOptions {
  readonly level: LogLevel;
  /** Where lines go besides the buffer: standard output by default. */
  readonly destination?: DestinationStream;
  readonly buffer?: LogBuffer;
}

/** The daemon's log: one JSON object a line, RFC 3339 times, errors as code, message and fields. */
export function createLog(options: LogOptions): { readonly log: Log; readonly buffer: LogBuffer } {
  const buffer = options.buffer ?? new LogBuffer();
  const destination = options.destination ?? pino.destination({ fd: 1, sync: true });
  const log = pino(
    {
      level: options.level,
      base: { service: 'coordinator' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
      serializers: { error: describeError, err: describeError },
    },
    // The streams accept every level: `level` above decides.
    multistream([
      { level: 'trace', stream: destination },
      { level: 'trace', stream: buffer },
    ]),
  );
  return { log, buffer };
}

/** What a log line says of an error: its code and fields; the stack only where the error is not one of ours. */
function describeError(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof TributaryError && error.code !== 'INTERNAL') {
    const cause = error.cause instanceof Error ? { cause: error.cause.message } : {};
    return { code: error.code, message: error.message, ...error.fields, ...cause };
  }
  if (error instanceof Error) {
    const cause = error.cause instanceof Error ? { cause: error.cause.stack ?? error.cause.message } : {};
    return { code: 'INTERNAL', message: error.message, stack: error.stack, ...cause };
  }
  return { code: 'INTERNAL', message: String(error) };
}
