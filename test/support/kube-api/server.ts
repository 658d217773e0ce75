import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';

import { parse } from 'yaml';

import { collect } from '../bytes.js';
import { ApiError } from './api-error.js';
import type { Api } from './api.js';
import { inBackground } from './background.js';
import { documentAt } from './documents.js';
import { isFields } from './objects.js';
import { readProtobuf } from './protobuf.js';
import { answerObjects, type Asked } from './requests.js';
import { RequestLog } from './request-log.js';
import { routeOf } from './route.js';

export interface ServerOptions {
  readonly api: Api;
  /** `1.31.0`. */
  readonly version: string;
  /** What `kubectl logs` prints. */
  readonly podLog: (namespace: string, name: string, container: string | undefined) => Promise<string>;
}

/** The HTTP door of the emulator. It answers JSON: clients that would rather have protobuf take it. */
export class ApiServer {
  readonly log = new RequestLog();
  readonly #options: ServerOptions;
  readonly #servers: Server[] = [];

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Listens on an address; gives the port. */
  async listen(host: string, port = 0): Promise<number> {
    const server = createServer((request, response) => inBackground(this.#answer(request, response)));
    server.on('connection', (socket: Socket) => this.log.connected(socket.remoteAddress ?? ''));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map((server) => {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeAllConnections();
        return closed;
      }),
    );
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://emulator');
    response.once('close', () => {
      this.log.add({
        ...{
          at: Date.now(),
          from: request.socket.remoteAddress ?? '',
          userAgent: request.headers['user-agent'] ?? '',
        },
        ...{
          verb: request.method ?? '',
          path: url.pathname,
          query: url.search.slice(1),
          code: response.statusCode,
        },
      });
    });
    try {
      await this.#dispatch(request, response, url);
    } catch (error) {
      const known =
        error instanceof ApiError ? error : new ApiError('InternalError', String((error as Error).stack));
      sendJson(response, known.code, known.status());
    }
  }

  async #dispatch(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const asked: Asked = {
      ...{ verb: request.method ?? 'GET', query: url.searchParams, accept: request.headers.accept ?? '' },
      ...{
        contentType: request.headers['content-type'] ?? '',
        userAgent: request.headers['user-agent'] ?? '',
      },
      body: await bodyOf(request),
    };
    const document = documentAt(this.#options, url.pathname, asked.accept);
    if (document !== undefined) return sendJson(response, 200, ...document);
    const route = routeOf(this.#options.api.kinds, url.pathname);
    if (route === undefined)
      throw new ApiError('NotFound', 'the server could not find the requested resource');
    await answerObjects(this.#options, route, asked, response);
  }
}

/** JSON and YAML alike: one is the other. */
async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const bytes = Buffer.from(await collect(request as AsyncIterable<Uint8Array>));
  if (bytes.length === 0) return undefined;
  const type = request.headers['content-type'] ?? '';
  const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes;
  if (type.includes('protobuf')) return readProtobuf(plain);
  const text = plain.toString('utf8');
  try {
    const body = (type.includes('yaml') ? parse(text, { version: '1.1' }) : JSON.parse(text)) as unknown;
    if (!isFields(body) && !Array.isArray(body)) throw new Error('neither an object nor a list');
    return body;
  } catch (error) {
    throw new ApiError('BadRequest', `the body cannot be read: ${(error as Error).message}`);
  }
}

export function sendJson(
  response: ServerResponse,
  code: number,
  body: unknown,
  type = 'application/json',
): void {
  response.writeHead(code, { 'content-type': typeof body === 'string' ? 'text/plain' : type });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}
