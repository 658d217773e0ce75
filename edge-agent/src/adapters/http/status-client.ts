import { request } from 'node:http';

import { LIMITS, isErrorCode, TributaryError } from '@tributary/proto';
import { z } from 'zod';

/** For what takes as long as others need. */
export const NO_LIMIT = 0;

/** What the running daemon answers on its socket; rejects with UNAVAILABLE where none runs, or none answers in time. */
export async function fetchStatus(socketPath: string, timeoutMs: number = LIMITS.deskMs): Promise<string> {
  return (await ask(socketPath, 'GET', '/status', timeoutMs)).text;
}

/** The identity of the running daemon's agent as JSON; rejects with UNAVAILABLE where none runs. */
export async function fetchIdentity(socketPath: string): Promise<string> {
  return (await ask(socketPath, 'GET', '/identity')).text;
}

const refusalSchema = z.object({ code: z.string(), message: z.string(), hint: z.string().optional() });

/**
 * Has the running daemon do something, or tell it; without `timeoutMs` within a minute. Rejects with its own code, or
 * UNAVAILABLE.
 */
export async function requestOf(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  query: Readonly<Record<string, string>> = {},
  timeoutMs: number = LIMITS.deskMs,
): Promise<string> {
  const url = `${path}?${String(new URLSearchParams(query))}`;
  const { status, text } = await ask(socketPath, method, url, timeoutMs);
  if (status === 200) return text;
  const { code, message, hint } = refusalSchema.parse(JSON.parse(text));
  throw new TributaryError(
    isErrorCode(code) ? code : 'INTERNAL',
    message,
    hint === undefined ? {} : { hint },
  );
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

function ask(
  socketPath: string,
  method: string,
  path: string,
  timeout: number = LIMITS.deskMs,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => {
      reject(
        new TributaryError('UNAVAILABLE', `no agent answers on ${socketPath}: ${cause.message}`, {
          cause,
          hint: 'Start it with `tributary-agent run`, a replica with `tributary-agent serve`.',
        }),
      );
    };
    const call = request({ socketPath, method, path, timeout }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', fail);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }),
      );
    });
    call.on('timeout', () => call.destroy(new Error('timed out')));
    call.on('error', fail);
    call.end();
  });
}
