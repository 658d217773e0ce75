import { setMaxListeners, type EventEmitter } from 'node:events';

import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { LIMITS, TributaryError } from '@tributary/proto';
import { toServiceError } from '@tributary/proto/grpc';

import type { Method } from '../../domain/authorisation.js';
import type { Log } from '../logs/log.js';
import type { Concurrency } from './concurrency.js';
import { peerKey, peerOfCall, type Peer } from './peer.js';

/** What a handler knows of its call besides the messages. */
export interface CallContext {
  readonly method: Method;
  readonly peer: Peer;
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignal;
  /** Aborted when the daemon begins to stop: streams without an end of their own end then, with SHUTTING_DOWN. */
  readonly stopping: AbortSignal;
}

export interface CallObserver {
  /** `code` is OK, CANCELLED (the caller went away) or a code of the error table. */
  call(method: string, code: string): void;
}

/** The sending side of a stream, with back-pressure. */
export interface Sink<Message> {
  /**
   * Resolves when the next message may be written; rejects once the caller is gone, and with DEADLINE_EXCEEDED where it
   * reads nothing for too long: what the stream holds open (a file, a view of the ledger) is others' too.
   */
  write(message: Message): Promise<void>;
}

export interface ServerStreamOptions {
  /** Where the stream takes a place until it closes. */
  readonly places?: Concurrency;
  /** Messages written and not yet sent: LIMITS.messagesAhead unless given. */
  readonly ahead?: number;
}

type AnyCall = EventEmitter & Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext'>;

/** Thrown out of a handler whose caller is gone: nobody is left to answer. */
class CallerGone extends Error {}

/**
 * Turns asynchronous functions into gRPC handlers: every failure becomes a status with a code of the error table, is
 * counted and logged, and ends only its own call. A stream with `places` is refused with OVERLOADED while its caller, or
 * all callers, have theirs taken.
 */
export class Calls {
  readonly #log: Log;
  readonly #observer: CallObserver;
  readonly #peerOf: (call: AnyCall) => Peer;
  readonly #stopping: AbortController;
  readonly #idleMs: number;

  constructor(
    log: Log,
    observer: CallObserver,
    peerOf: (call: AnyCall) => Peer = peerOfCall,
    stopping = new AbortController(),
    idleMs: number = LIMITS.streamIdleMs,
  ) {
    this.#log = log;
    this.#observer = observer;
    this.#peerOf = peerOf;
    this.#stopping = stopping;
    this.#idleMs = idleMs;
    // Everybody who watches waits for it: more than ten are no leak.
    setMaxListeners(0, stopping.signal);
  }

  /** The same for the Unix socket, which only the daemon's own user can open: its callers need no certificate. */
  local(): Calls {
    return new Calls(this.#log, this.#observer, () => ({ kind: 'local' }), this.#stopping, this.#idleMs);
  }

  /** Ends the streams that would go on for ever. */
  stop(): void {
    this.#stopping.abort();
  }

  unary<Request, Response>(
    method: Method,
    handle: (request: Request, context: CallContext) => Promise<Response>,
  ): handleUnaryCall<Request, Response> {
    return (call, respond) => {
      const work = (context: CallContext): ReturnType<typeof handle> => handle(call.request, context);
      this.#start(method, call, work, (outcome) => {
        if (outcome.ok) respond(null, outcome.value);
        else respond(outcome.error);
      });
    };
  }

  serverStream<Request, Response>(
    method: Method,
    handle: (request: Request, sink: Sink<Response>, context: CallContext) => Promise<void>,
    { places, ahead = LIMITS.messagesAhead }: ServerStreamOptions = {},
  ): handleServerStreamingCall<Request, Response> {
    return (call) => {
      const work = (context: CallContext): ReturnType<typeof handle> => {
        places?.enter(peerKey(context.peer), call);
        return handle(call.request, sinkOf(call, context.signal, this.#idleMs, ahead), context);
      };
      this.#start(method, call, work, (outcome) => {
        if (outcome.ok) call.end();
        else call.emit('error', outcome.error);
      });
    };
  }

  clientStream<Request, Response>(
    method: Method,
    handle: (messages: AsyncIterableIterator<Request, undefined>, context: CallContext) => Promise<Response>,
    places?: Concurrency,
  ): handleClientStreamingCall<Request, Response> {
    return (call, respond) => {
      const work = (context: CallContext): ReturnType<typeof handle> => {
        places?.enter(peerKey(context.peer), call);
        return handle(messagesOf(call), context);
      };
      this.#start(method, call, work, (outcome) => {
        if (outcome.ok) respond(null, outcome.value);
        else respond(outcome.error);
      });
    };
  }

  bidi<Request, Response>(
    method: Method,
    handle: (stream: ServerDuplexStream<Request, Response>, context: CallContext) => Promise<void>,
  ): handleBidiStreamingCall<Request, Response> {
    return (call) => {
      const work = (context: CallContext): ReturnType<typeof handle> => handle(call, context);
      this.#start(method, call, work, (outcome) => {
        if (outcome.ok) call.end();
        else call.emit('error', outcome.error);
      });
    };
  }

  #start<Value>(
    method: Method,
    call: AnyCall,
    handle: (context: CallContext) => Promise<Value>,
    answer: (outcome: Outcome<Value>) => void,
  ): void {
    this.#run(method, call, handle)
      .then(answer)
      .catch((error: unknown) => {
        this.#log.error({ method, error }, 'a call could not be answered');
      });
  }

  async #run<Value>(
    method: Method,
    call: AnyCall,
    handle: (context: CallContext) => Promise<Value>,
  ): Promise<Outcome<Value>> {
    const gone = new AbortController();
    call.on('cancelled', () => {
      gone.abort();
    });
    let peer: Peer = { kind: 'anonymous' };
    try {
      peer = this.#peerOf(call);
      const value = await handle({ method, peer, signal: gone.signal, stopping: this.#stopping.signal });
      this.#observer.call(method, 'OK');
      return { ok: true, value };
    } catch (error) {
      return { ok: false, error: this.#refuse(method, peer, error, gone.signal.aborted) };
    }
  }

  #refuse(method: Method, peer: Peer, error: unknown, gone: boolean): ReturnType<typeof toServiceError> {
    const known = TributaryError.from(error);
    const code =
      error instanceof CallerGone || (gone && known.code === 'INTERNAL') ? 'CANCELLED' : known.code;
    this.#observer.call(method, code);
    const fields = { method, caller: peerKey(peer) };
    if (code === 'INTERNAL') this.#log.error({ ...fields, error: known }, 'call failed');
    else if (code === 'CANCELLED') this.#log.debug(fields, 'caller went away');
    else this.#log.info({ ...fields, error: known }, 'call refused');
    return toServiceError(known);
  }
}

type Outcome<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: ReturnType<typeof toServiceError> };

/** Messages of a stream; leaving the loop early does not destroy the call, which still has to be answered. */
export function messagesOf<Request>(
  call: ServerReadableStream<Request, unknown> | ServerDuplexStream<Request, unknown>,
): AsyncIterableIterator<Request, undefined> {
  return call.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Request, undefined>;
}

function sinkOf<Response>(
  call: ServerWritableStream<unknown, Response>,
  signal: AbortSignal,
  idleMs: number,
  ahead: number,
): Sink<Response> {
  let unsent = 0;
  let wake = (): void => undefined;
  const requireCaller = (): void => {
    if (signal.aborted || call.destroyed) throw new CallerGone();
  };
  // A message of a caller who left is never reported as sent.
  signal.addEventListener('abort', () => {
    wake();
  });
  return {
    async write(message) {
      requireCaller();
      unsent += 1;
      call.write(message, () => {
        unsent -= 1;
        wake();
      });
      while (unsent >= ahead) {
        const moved = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await withDeadline(moved, idleMs, 'reading');
        requireCaller();
      }
    },
  };
}

/** `messages` with a deadline for each: a silent sender ends with DEADLINE_EXCEEDED that names `what`. */
export async function* withIdleDeadline<Message>(
  messages: AsyncIterator<Message, undefined>,
  idleMs: number,
  what: string,
): AsyncGenerator<Message, void, undefined> {
  try {
    for (;;) {
      const next = await withDeadline(messages.next(), idleMs, what);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not awaited: after a deadline the stream is still waiting for its next message.
    messages.return?.().catch(() => undefined);
  }
}

/** The value of `promise`, or DEADLINE_EXCEEDED after `ms`. */
export async function withDeadline<Value>(promise: Promise<Value>, ms: number, what: string): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new TributaryError('DEADLINE_EXCEEDED', `${what}: nothing moved for ${String(ms)} ms`));
    }, ms);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
