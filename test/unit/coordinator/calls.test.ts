import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';

import type { ServerWritableStream } from '@grpc/grpc-js';
import { Calls } from '@tributary/coordinator/internal/adapters/grpc/calls.js';
import { createLog } from '@tributary/coordinator/internal/adapters/logs/log.js';
import { fromServiceError } from '@tributary/proto/grpc';

/** What a handler uses of a streaming call whose reader takes `room` messages and then no more, until it reads again. */
class StalledCall extends EventEmitter {
  readonly request = {};
  readonly destroyed = false;
  written = 0;
  ended = false;
  #room: number;
  readonly #unsent: (() => void)[] = [];

  constructor(room: number) {
    super();
    this.#room = room;
  }

  write(_message: unknown, sent: () => void): void {
    this.written += 1;
    this.#unsent.push(sent);
    this.read(0);
  }

  read(messages: number): void {
    this.#room += messages;
    for (; this.#room > 0 && this.#unsent.length > 0; this.#room -= 1) this.#unsent.shift()?.();
  }

  end(): void {
    this.ended = true;
    this.emit('ended');
  }
}

describe('streams to readers', () => {
  const outcomes: string[] = [];
  const { log } = createLog({ level: 'silent' });
  const observer = { call: (_method: string, code: string): number => outcomes.push(code) };
  const calls = new Calls(log, observer, () => ({ kind: 'local' }), new AbortController(), 50);

  beforeEach(() => outcomes.splice(0));

  const start = (call: StalledCall, messages: number): void => {
    const send = calls.serverStream(
      'FetchBlob',
      async (_request, sink) => {
        for (let index = 0; index < messages; index += 1) await sink.write({});
      },
      { ahead: 2 },
    );
    send(call as unknown as ServerWritableStream<unknown, unknown>);
  };

  it('end where the reader takes nothing for too long', async () => {
    const call = new StalledCall(3);
    const failed = once(call, 'error');
    start(call, 10);
    const [error] = (await failed) as [Error];
    assert.equal(fromServiceError(error).code, 'DEADLINE_EXCEEDED');
    // Three were taken, and two more wait.
    assert.equal(call.written, 5);
    assert.deepEqual(outcomes, ['DEADLINE_EXCEEDED']);
  });

  it('go on where it is slow, but reads', async () => {
    const call = new StalledCall(1);
    const reading = setInterval(() => call.read(1), 5);
    const ended = once(call, 'ended');
    start(call, 12);
    await ended;
    clearInterval(reading);
    assert.equal(call.written, 12);
    assert.deepEqual(outcomes, ['OK']);
  });

  it('end without a word where the reader is gone', async () => {
    const call = new StalledCall(1);
    const failed = once(call, 'error');
    start(call, 5);
    call.emit('cancelled');
    await failed;
    assert.deepEqual(outcomes, ['CANCELLED']);
  });
});
