import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { TributaryError } from '@tributary/proto';

import { refusal } from '../../support/refusal.js';
import { StreamWorld } from '../../support/stream-engine.js';
import { pipeline } from '../../support/stream-pipeline.js';
import { eventually } from '../../support/waiting.js';

const RECORDS = {
  payload: { type: 'Json', columns: { pulse: 'pulse' }, time: { type: 'Path', path: 't' }, id: 'id' },
  result: { topic: 'out/{bed}/result' },
};
const T = 1_700_000_000_000;

describe('a pipeline that leaves its broker for good', () => {
  let world: StreamWorld;

  beforeEach(async () => {
    world = new StreamWorld(pipeline(RECORDS), {}, 10);
    await world.open();
    world.predictor.version = undefined;
    await world.start();
  });

  afterEach(() => world.close());

  const waits = (): Promise<boolean> =>
    eventually('its wait', () => (world.runner.status().state === 'Waiting' ? true : undefined));

  it('answers all that the broker has for it, and nothing that comes later', async () => {
    for (let index = 0; index < 100; index++) await world.send({ id: index, t: T + index, pulse: index });
    await waits();
    let over = false;
    const drained = world.runner.drain().then(() => (over = true));
    await world.send({ id: 100, t: T + 100, pulse: 1 });
    await sleep(50);
    const { state, reason } = world.runner.status();
    assert.deepEqual([state, reason?.code, over], ['Draining', 'NOT_FOUND', false]);
    world.predictor.version = 1;
    await drained;
    await world.close();
    const { received } = world;
    await eventually('the results', () => (received.length >= 100 ? true : undefined));
    assert.equal(new Set(received.map(({ body }) => body['decisionId'])).size, 100);
    assert.equal(received.length, 100);
    assert.equal(world.broker.unsettled('pipeline'), 0);
  });

  it('refuses where it has failed, and gives up where it fails or is closed meanwhile', async () => {
    await world.send({ id: 1, t: T, pulse: 1 });
    await waits();
    const ended = assert.rejects(world.runner.drain(), refusal('SHUTTING_DOWN'));
    world.predictor.refuse = () => {
      throw new TributaryError('SHUTTING_DOWN', 'predictions have ended');
    };
    world.predictor.version = 1;
    await ended;
    assert.equal(world.runner.status().state, 'Failed');
    await assert.rejects(world.runner.drain(), refusal('SHUTTING_DOWN'));
    await world.close();
    world.predictor.version = undefined;
    await world.start();
    const closed = assert.rejects(world.runner.drain(), refusal('SHUTTING_DOWN'));
    await world.close();
    await closed;
  });
});
