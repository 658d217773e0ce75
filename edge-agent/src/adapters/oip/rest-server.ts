import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

import { ERROR_TABLE, LIMITS, TributaryError } from '@tributary/proto';

import { requireToken } from './access.js';
import { BodyRoom } from './body-room.js';
import type { InferenceService } from './inference-service.js';
import { inferResponseJson, parseInferRequest } from './rest-messages.js';
import { label } from './tensors.js';

export interface RestOptions {
  readonly service: InferenceService;
  /** Bearer token that every request needs, health excepted; none where absent. */
  readonly token?: string | undefined;
  /** Told of errors that should not happen. */
  readonly onUnexpected: (error: unknown) => void;
  /** Bytes of bodies that are held together, LIMITS.predictionBodiesBytes unless given. */
  readonly bodiesBytes?: number;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** `/v2/models/<name>[/versions/<version>][/ready|/infer]` */
const MODEL_PATH = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?$/;

/** The REST interface of the Open Inference Protocol, not listening yet. */
export function restServer(options: RestOptions): Server {
  const room = new BodyRoom(options.bodiesBytes ?? LIMITS.predictionBodiesBytes);
  const server = createServer(
    {
      requestTimeout: LIMITS.predictionRequestMs,
      headersTimeout: LIMITS.predictionHeadersMs,
      connectionsCheckingInterval: LIMITS.predictionHeadersMs,
      maxHeaderSize: LIMITS.httpHeaderBytes,
    },
    (request, response) => {
      respond(options, room, request).then(
        (answer) => {
          send(request, response, answer);
        },
        (error: unknown) => {
          // Whoever hangs up within a body hears no answer, and that is no fault of ours.
          if (request.errored === null) send(request, response, failure(options, error));
        },
      );
    },
  );
  return server;
}

async function respond(options: RestOptions, room: BodyRoom, request: IncomingMessage): Promise<Answer> {
  const path = (request.url ?? '').split('?', 1)[0] ?? '';
  const { service, token } = options;
  // What a probe asks says nothing about the models.
  if (path === '/v2/health/live') return get(request, () => ok({ live: true }));
  if (path === '/v2/health/ready') return get(request, () => readiness({}, service.ready));
  requireToken(request.headers.authorization, token);
  requireNoBrowser(request, token);
  if (path === '/v2' || path === '/v2/')
    return get(request, () => ok({ ...service.server(), models: service.active() }));
  const [, name, version, action] = MODEL_PATH.exec(path) ?? [];
  if (name === undefined) throw new TributaryError('NOT_FOUND', 'no such path; the protocol begins at /v2');
  return modelAnswer(service, room, request, { name: decoded(name), version: mapped(version), action });
}

interface Target {
  readonly name: string;
  readonly version: string | undefined;
  readonly action: string | undefined;
}

async function modelAnswer(
  service: InferenceService,
  room: BodyRoom,
  request: IncomingMessage,
  { name, version, action }: Target,
): Promise<Answer> {
  if (action === 'ready') return get(request, () => readiness({ name }, service.modelReady(name, version)));
  if (action === undefined) return get(request, () => ok(service.model(name, version)));
  if (request.method !== 'POST') return wrongMethod('POST');
  const parts: Buffer[] = [];
  try {
    await readBody(request, room, parts);
    const asked = parseInferRequest(Buffer.concat(parts), name, version);
    return ok(inferResponseJson(await service.infer(asked)));
  } finally {
    room.give(lengthOf(parts));
  }
}

const lengthOf = (parts: readonly Buffer[]): number => parts.reduce((sum, { length }) => sum + length, 0);

/** A page in a browser may reach this port in the name of its user; it cannot know a token. */
function requireNoBrowser({ headers }: IncomingMessage, token: string | undefined): void {
  if (token !== undefined || headers.origin === undefined) return;
  throw new TributaryError('PERMISSION_DENIED', 'requests of web pages need a token; set serving.tokenFile');
}

/** Reads a body into `parts`; what is there when it rejects was taken of the room too. */
async function readBody(request: IncomingMessage, room: BodyRoom, parts: Buffer[]): Promise<void> {
  const { 'content-encoding': encoding = 'identity', 'content-length': length = '0' } = request.headers;
  if (encoding !== 'identity')
    throw new TributaryError('INVALID_ARGUMENT', 'content-encoding: send the body as it is');
  if ('inference-header-content-length' in request.headers)
    throw new TributaryError('INVALID_ARGUMENT', 'binary tensor data is not an extension of this server');
  if (Number(length) > LIMITS.predictionBodyBytes) throw tooLarge();
  let bytes = 0;
  // A refusal is still to be sent when the rest is not read: the end of the loop must not end the connection.
  const pieces: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
  for await (const part of pieces) {
    bytes += part.length;
    if (bytes > LIMITS.predictionBodyBytes) throw tooLarge();
    room.take(part.length);
    parts.push(part);
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, body }: Answer): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    // What was not read of the request is in the way of the next one.
    ...(!request.complete && { connection: 'close' }),
  });
  response.end(text);
  if (!request.complete) request.resume();
}

function failure({ onUnexpected }: RestOptions, error: unknown): Answer {
  const { code, message } = TributaryError.from(error);
  if (code === 'INTERNAL') onUnexpected(error);
  const words = code === 'INTERNAL' ? 'an unexpected error' : message;
  return { status: ERROR_TABLE[code].http, body: { error: `${code}: ${words}` } };
}

function get({ method }: IncomingMessage, answer: () => Answer): Answer {
  return method === 'GET' || method === 'HEAD' ? answer() : wrongMethod('GET');
}

const ok = (body: unknown): Answer => ({ status: 200, body });

const readiness = (named: { readonly name?: string }, ready: boolean): Answer => ({
  status: ready ? 200 : 503,
  body: { ...named, ready },
});

const wrongMethod = (method: string): Answer => ({
  status: 405,
  body: { error: `INVALID_ARGUMENT: use ${method}` },
});

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TributaryError('INVALID_ARGUMENT', `path: ${label(text)} is not percent-encoded UTF-8`);
  }
}

const mapped = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : decoded(text);

const tooLarge = (): TributaryError =>
  new TributaryError(
    'LIMIT_EXCEEDED',
    `a body has at most ${String(LIMITS.predictionBodyBytes)} bytes; send fewer rows`,
  );
