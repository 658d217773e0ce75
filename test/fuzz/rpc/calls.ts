import { Metadata, type Client, type ServiceError } from '@grpc/grpc-js';

import type { AnyMethod } from './messages.js';
import { judge } from './verdict.js';

/** How one call ended. */
export type Outcome =
  { readonly answered: true } | { readonly refusal: string } | { readonly finding: string };

const ANSWERED: Outcome = { answered: true };
/** A call that has no answer after this long is a finding. */
const DEADLINE_MS = 20_000;
/** Silence after which a stream of answers is left: some go on until the caller leaves. */
const SILENCE_MS = 40;

/** The verdict on a stream that we left ourselves. */
const LEFT = 'grpc-js CANCELLED';

const identity = (bytes: Buffer): Buffer => bytes;
const deadline = (): { readonly deadline: Date } => ({ deadline: new Date(Date.now() + DEADLINE_MS) });

/** Sends the messages of one call as they are, whatever kind of method it is; never rejects. */
export function send(client: Client, method: AnyMethod, messages: readonly Buffer[]): Promise<Outcome> {
  if (method.requestStream)
    return method.responseStream ? sendBoth(client, method, messages) : sendMany(client, method, messages);
  const [message = Buffer.alloc(0)] = messages;
  return method.responseStream ? sendForStream(client, method, message) : sendOne(client, method, message);
}

function sendOne(client: Client, method: AnyMethod, message: Buffer): Promise<Outcome> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(method.path, identity, identity, message, new Metadata(), deadline(), (error) => {
      resolve(error === null ? ANSWERED : judge(error));
    });
  });
}

function sendMany(client: Client, method: AnyMethod, messages: readonly Buffer[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const call = client.makeClientStreamRequest(
      method.path,
      identity,
      identity,
      new Metadata(),
      deadline(),
      (error) => {
        resolve(error === null ? ANSWERED : judge(error));
      },
    );
    call.on('error', () => undefined);
    for (const message of messages) call.write(message);
    call.end();
  });
}

function sendForStream(client: Client, method: AnyMethod, message: Buffer): Promise<Outcome> {
  return new Promise((resolve) => {
    const call = client.makeServerStreamRequest(
      method.path,
      identity,
      identity,
      message,
      new Metadata(),
      deadline(),
    );
    leaveWhenSilent(call, resolve);
  });
}

function sendBoth(client: Client, method: AnyMethod, messages: readonly Buffer[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const call = client.makeBidiStreamRequest(method.path, identity, identity, new Metadata(), deadline());
    leaveWhenSilent(call, resolve);
    for (const message of messages) call.write(message);
  });
}

interface AnswerStream {
  on(event: 'data' | 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: ServiceError) => void): unknown;
  cancel(): void;
}

/** Reads until the stream ends, or has said nothing for a moment, or has said enough. */
function leaveWhenSilent(call: AnswerStream, resolve: (outcome: Outcome) => void): void {
  let messages = 0;
  const silence = setTimeout(() => call.cancel(), SILENCE_MS);
  call.on('data', () => {
    messages += 1;
    silence.refresh();
    if (messages === 3) call.cancel();
  });
  call.on('end', () => {
    clearTimeout(silence);
    resolve(ANSWERED);
  });
  call.on('error', (error) => {
    clearTimeout(silence);
    const verdict = judge(error);
    resolve('refusal' in verdict && verdict.refusal === LEFT ? ANSWERED : verdict);
  });
}
