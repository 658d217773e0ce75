import { request } from 'node:http';

import { TributaryError } from '@tributary/proto';

/** What the running daemon answers on its socket; rejects with UNAVAILABLE where none runs. */
export function fetchStatus(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => {
      reject(
        new TributaryError('UNAVAILABLE', `no agent answers on ${socketPath}: ${cause.message}`, {
          cause,
          hint: 'Start it with `tributary-agent run`.',
        }),
      );
    };
    const call = request({ socketPath, path: '/status', timeout: 5_000 }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', fail);
      response.on('end', () => resolve(Buffer.concat(parts).toString('utf8')));
    });
    call.on('timeout', () => call.destroy(new Error('timed out')));
    call.on('error', fail);
    call.end();
  });
}
