import { pino, type DestinationStream } from 'pino';

import type { Log } from '../../app/log.js';

/** Fields that never reach a line, at its top or one level down, whoever passes them. */
const SECRET_FIELDS = [
  'token',
  'seed',
  'password',
  'privateKey',
  'tlsKey',
  'identitySeed',
  'weights',
  'delta',
  'row',
  'cell',
];

/** JSON lines with RFC 3339 times, on standard output unless `destination` says otherwise. */
export function createLog(
  level: string,
  destination: DestinationStream = pino.destination({ fd: 1, sync: true }),
): Log {
  return pino(
    {
      level,
      base: { service: 'agent' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
    },
    destination,
  );
}
