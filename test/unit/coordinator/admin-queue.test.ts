import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';

import { BoundedQueue } from '@tributary/coordinator/internal/adapters/grpc/admin/queue.js';
import { Concurrency } from '@tributary/coordinator/internal/adapters/grpc/concurrency.js';
import { RateLimit } from '@tributary/coordinator/internal/adapters/grpc/rate-limit.js';
import { LIMITS, TributaryError } from '@tributary/proto';

describe('queue of a watcher', () => {
  const never = new AbortController().signal;
  const open = { signal: never, stopping: never };
  const queueOf = (capacity: number): BoundedQueue<number> =>
    new BoundedQueue(capacity, () => new TributaryError('OVERLOADED', 'slow'));

  it('hands items over in order, waiting or not', async () => {
    const queue = queueOf(4);
    const waiting = queue.next(1_000, open);
    queue.push(1);
    queue.push(2);
    assert.equal(await waiting, 1);
    assert.equal(await queue.next(1_000, open), 2);
  });

  it('gives undefined when nothing comes in time, and when the reader leaves', async () => {
    const queue = queueOf(4);
    assert.equal(await queue.next(1, open), undefined);
    const leaving = new AbortController();
    const left = { signal: leaving.signal, stopping: never };
    const waiting = queue.next(60_000, left);
    leaving.abort();
    assert.equal(await waiting, undefined);
    assert.equal(await queue.next(60_000, left), undefined);
  });

  it('ends with SHUTTING_DOWN when the daemon stops', async () => {
    const queue = queueOf(4);
    const stop = new AbortController();
    const waiting = queue.next(60_000, { signal: never, stopping: stop.signal });
    stop.abort();
    await assert.rejects(waiting, { code: 'SHUTTING_DOWN' });
  });

  it('delivers what it held, then OVERLOADED, however much is pushed', async () => {
    const queue = queueOf(2);
    for (let item = 0; item < 10_000; item += 1) queue.push(item);
    assert.equal(await queue.next(1, open), 0);
    assert.equal(await queue.next(1, open), 1);
    await assert.rejects(queue.next(1, open), { code: 'OVERLOADED' });
  });
});

describe('places for calls', () => {
  const refused = (act: () => void): void => {
    assert.throws(
      act,
      (error) => error instanceof TributaryError && error.code === 'OVERLOADED' && error.retryable,
    );
  };

  it('refuses a caller beyond its own places, and any caller beyond all of them', () => {
    const places = new Concurrency('calls', 3, 2);
    const calls = [new EventEmitter(), new EventEmitter(), new EventEmitter()] as const;
    places.enter('a', calls[0]);
    places.enter('a', calls[1]);
    refused(() => {
      places.enter('a', new EventEmitter());
    });
    places.enter('b', calls[2]);
    refused(() => {
      places.enter('c', new EventEmitter());
    });
    assert.equal(places.running, 3);
  });

  it('frees a place when its call closes', () => {
    const places = new Concurrency('calls', 1, 1);
    for (let round = 0; round < 3; round += 1) {
      const call = new EventEmitter();
      places.enter('a', call);
      call.emit('close');
      assert.equal(places.running, 0);
    }
  });
});

describe('rate of what leaves a trace', () => {
  let now: number;
  let rate: RateLimit;

  beforeEach(() => {
    now = 0;
    rate = new RateLimit('renewals', 3, 60_000, { now: () => now });
  });

  const overloaded = (key: string): void => {
    assert.throws(
      () => {
        rate.take(key);
      },
      { code: 'OVERLOADED' },
    );
  };

  it('refuses a key beyond its window, and no other key', () => {
    for (let count = 0; count < 3; count += 1) rate.take('a');
    overloaded('a');
    rate.take('b');
  });

  it('forgives when the window is over', () => {
    for (let count = 0; count < 3; count += 1) rate.take('a');
    now = 59_999;
    overloaded('a');
    now = 60_000;
    rate.take('a');
  });

  it('forgets the oldest keys rather than grow', () => {
    for (let count = 0; count < 3; count += 1) rate.take('first');
    for (let key = 0; key < LIMITS.agents; key += 1) rate.take(String(key));
    rate.take('first');
  });
});
