import { chmod, rm } from 'node:fs/promises';
import type { Server, ServerResponse } from 'node:http';

import { ERROR_TABLE, LIMITS, TributaryError } from '@tributary/proto';
import { limitCallers, pageServer } from '@tributary/proto/node';

import { fileError } from '../files/file-error.js';

/** A page: what is answered to GET of its path. */
export interface Page {
  readonly contentType: string;
  readonly body: () => string;
}

/** What is done for a request with a query; rejects with what is answered as {code, message, hint}. */
export type Action = (query: URLSearchParams) => Promise<string>;

/** By method and path. */
export type Actions = Readonly<Record<`${'GET' | 'POST'} /${string}`, Action>>;

export interface LocalServer {
  /** Port, where it listens on one. */
  readonly port: number | undefined;
  close(): Promise<void>;
}

/** Serves pages on a Unix socket that only this user may open. */
export function servePagesOnSocket(
  path: string,
  pages: Readonly<Record<string, Page>>,
  actions: Actions = {},
): Promise<LocalServer> {
  return listenOnSocket(serverOf(pages, actions), path);
}

/** Serves pages on a TCP port of all interfaces; 0 lets the system choose. */
export function servePagesOnPort(port: number, pages: Readonly<Record<string, Page>>): Promise<LocalServer> {
  return listenOnPort(limitCallers(serverOf(pages), LIMITS.pageConnections), port);
}

/** Listens on a Unix socket that only this user may open. A socket that a dead process left is replaced. */
export async function listenOnSocket(server: Server, path: string): Promise<LocalServer> {
  // Whoever gets here owns the data directory: a socket in it is nobody else's.
  await rm(path, { force: true });
  await listening(server, () => server.listen(path));
  try {
    await chmod(path, 0o600);
  } catch (error) {
    throw fileError(error, path);
  }
  return localServer(server);
}

/** Listens on a TCP port, of all interfaces where no host is given; 0 lets the system choose. */
export async function listenOnPort(server: Server, port: number, host?: string): Promise<LocalServer> {
  await listening(server, () => (host === undefined ? server.listen(port) : server.listen(port, host)));
  return localServer(server);
}

function serverOf(pages: Readonly<Record<string, Page>>, actions: Actions = {}): Server {
  return pageServer((request, response) => {
    request.resume();
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    const action = Object.entries(actions).find(([name]) => name === `${request.method ?? ''} ${path}`)?.[1];
    if (action !== undefined) return act(response, action, new URLSearchParams(query));
    answer(response, request.method, pages[request.url ?? '']);
  });
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new TributaryError('CONFIG_INVALID', `cannot listen: ${cause.message}`, {
          cause,
          hint: 'stop what holds the address, or change serving.port or metricsPort, whichever names it',
        }),
      );
    });
    server.once('listening', () => resolve());
    listen();
  });
}

function answer(response: ServerResponse, method: string | undefined, page: Page | undefined): void {
  if (method !== 'GET' || page === undefined) {
    response.writeHead(method === 'GET' ? 404 : 405).end();
    return;
  }
  response.writeHead(200, { 'content-type': page.contentType }).end(page.body());
}

function act(response: ServerResponse, action: Action, query: URLSearchParams): void {
  const json = { 'content-type': 'application/json' };
  action(query).then(
    (body) => response.writeHead(200, json).end(body),
    (error: unknown) => {
      const { code, message, hint } = TributaryError.from(error);
      const said = code === 'INTERNAL' ? 'an unexpected error' : message;
      response.writeHead(ERROR_TABLE[code].http, json).end(JSON.stringify({ code, message: said, hint }));
    },
  );
}

function localServer(server: Server): LocalServer {
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
