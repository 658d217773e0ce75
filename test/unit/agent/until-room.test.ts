import assert from 'node:assert/strict';

import { untilRoom } from '@tributary/edge-agent/internal/app/until-room.js';
import { TributaryError } from '@tributary/proto';

import { refusal } from '../../support/refusal.js';

const full = (): TributaryError => new TributaryError('STORE_FULL', 'state: the disk is full');

describe('work that waits for room on the disk', () => {
  /** A clock on which every pause is over at once. */
  const pauses: number[] = [];
  const warned: unknown[] = [];
  const nothing = () => undefined;
  const log = {
    debug: nothing,
    info: nothing,
    error: nothing,
    warn: (fields: unknown) => void warned.push(fields),
  };
  const parts = {
    clock: {
      now: () => 0,
      at: (atMs: number, action: () => void) => {
        pauses.push(atMs);
        const timer = setImmediate(action);
        return () => clearImmediate(timer);
      },
    },
    random: { bytes: (length: number) => new Uint8Array(length) },
    log,
  };

  beforeEach(() => {
    pauses.length = 0;
    warned.length = 0;
  });

  it('is done again until the disk takes it, and says why it waits', async () => {
    let tries = 0;
    const work = () => ((tries += 1) < 4 ? Promise.reject(full()) : Promise.resolve('kept'));
    assert.equal(await untilRoom(parts, new AbortController().signal, work), 'kept');
    assert.equal(tries, 4);
    assert.equal(pauses.length, 3);
    assert.deepEqual(warned[0], { code: 'STORE_FULL', detail: 'state: the disk is full' });
  });

  it('fails where anything else is wrong, at once', async () => {
    const broken = () => Promise.reject(new TributaryError('STORE_CORRUPT', 'no'));
    await assert.rejects(untilRoom(parts, new AbortController().signal, broken), refusal('STORE_CORRUPT'));
    assert.equal(pauses.length, 0);
  });

  it('ends with whoever asked for it', async () => {
    const ending = new AbortController();
    const work = () => {
      if (pauses.length === 2) ending.abort();
      return Promise.reject(full());
    };
    await assert.rejects(untilRoom(parts, ending.signal, work), refusal('STORE_FULL'));
    const waiting = new AbortController();
    const paused = untilRoom(
      { ...parts, clock: { now: () => 0, at: () => () => undefined } },
      waiting.signal,
      () => Promise.reject(full()),
    );
    setImmediate(() => waiting.abort());
    await assert.rejects(paused, refusal('JOB_CANCELLED'));
  });
});
