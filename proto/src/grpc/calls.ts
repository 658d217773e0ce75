import {
  Metadata,
  type CallOptions,
  type Client,
  type ClientReadableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';

import { LIMITS } from '../limits.js';
import { fromServiceError } from './status.js';

/** A method of a loaded service, with the types of its messages. */
export type Method<Request extends object, Response extends object> = MethodDefinition<
  Request,
  object,
  object,
  Response
>;

export interface UnaryOptions {
  /** Milliseconds until the call fails with DEADLINE_EXCEEDED; LIMITS.unaryDeadlineMs unless given. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** One request, one answer. Rejects with a TributaryError: the server's own code where it sent one. */
export function callUnary<Request extends object, Response extends object>(
  client: Client,
  method: Method<Request, Response>,
  request: Request,
  options: UnaryOptions = {},
): Promise<Response> {
  const deadline = new Date(Date.now() + (options.deadlineMs ?? LIMITS.unaryDeadlineMs));
  return new Promise((resolve, reject) => {
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      { deadline },
      (error: ServiceError | null, response?: Response) => {
        options.signal?.removeEventListener('abort', abort);
        if (error === null && response !== undefined) resolve(response);
        else reject(fromServiceError(error ?? new Error(`${method.path} answered nothing`)));
      },
    );
    const abort = (): void => call.cancel();
    options.signal?.addEventListener('abort', abort, { once: true });
    // A signal that was aborted before tells nobody again.
    if (options.signal?.aborted === true) abort();
  });
}

export interface StreamOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds until the whole stream fails; none unless given. */
  readonly deadlineMs?: number;
}

/** One request, a stream of answers, read with back-pressure. Leaving the loop early cancels the call. */
export async function* callServerStream<Request extends object, Response extends object>(
  client: Client,
  method: Method<Request, Response>,
  request: Request,
  options: StreamOptions = {},
): AsyncGenerator<Response, void, undefined> {
  const callOptions: CallOptions =
    options.deadlineMs === undefined ? {} : { deadline: new Date(Date.now() + options.deadlineMs) };
  const call: ClientReadableStream<Response> = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    new Metadata(),
    callOptions,
  );
  const abort = (): void => call.cancel();
  options.signal?.addEventListener('abort', abort, { once: true });
  if (options.signal?.aborted === true) abort();
  try {
    for await (const message of call as AsyncIterable<Response>) yield message;
  } catch (error) {
    throw fromServiceError(error);
  } finally {
    options.signal?.removeEventListener('abort', abort);
    call.cancel();
  }
}
