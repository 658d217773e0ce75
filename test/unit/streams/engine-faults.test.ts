import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { LIMITS, TributaryError, type Row } from '@tributary/proto';

import { registeredModel } from '../../support/served-model.js';
import { StreamWorld, type ReceivedResult } from '../../support/stream-engine.js';
import { pipeline } from '../../support/stream-pipeline.js';
import { trainingSpec } from '../../support/training-job.js';
import { eventually } from '../../support/waiting.js';

const RECORDS = {
  payload: { type: 'Json', columns: { pulse: 'pulse' }, time: { type: 'Path', path: 't' }, id: 'id' },
  result: { topic: 'out/{bed}/result' },
  deadLetter: { topic: 'out/dead' },
};
const T = 1_700_000_000_000;
const died = new TributaryError('UNAVAILABLE', 'the inference worker ended over these rows');

describe('faults under the stream engine', function () {
  this.timeout(60_000);
  let world: StreamWorld;

  beforeEach(async () => {
    const random = { bytes: (length: number) => new Uint8Array(length) };
    world = new StreamWorld(pipeline(RECORDS), { random });
    await world.open();
    await world.start();
  });
  afterEach(() => world.close());

  const on = (suffix: string): ReceivedResult[] =>
    world.received.filter(({ topic }) => topic.endsWith(suffix));
  const scores = (): unknown[] => on('/result').map(({ body }) => body['score']);
  const done = async (count: number): Promise<void> => {
    await eventually(
      `${String(count)} messages to be done with`,
      () =>
        world.runner.status().completed >= count && world.source.unacknowledged === 0 ? true : undefined,
      20_000,
    );
    await world.receivedAll();
  };

  it('an alert on an output that no version has is told instead of being silent for ever', async () => {
    await world.close();
    const alerts = [{ name: 'high', output: 'good', above: 0.5, topic: 'alerts' }];
    world = new StreamWorld(pipeline({ ...RECORDS, alerts }), {});
    await world.open();
    await world.start();
    await world.send({ id: 1, t: T, pulse: 1 });
    const { code, detail } = await eventually('a reason', () => world.runner.status().reason ?? undefined);
    assert.equal(code, 'CONFIG_INVALID');
    assert.match(detail, /^spec\.alerts\[0\]\.output: \S+ has no output good; use one of /);
    assert.equal(world.source.unacknowledged, 1);
  });

  it('a row that kills the worker is given up when it is alone too, and what follows is answered', async () => {
    world.predictor.refuse = (rows: readonly Row[]) => {
      if (rows.some(({ pulse }) => pulse === 3)) throw died;
    };
    await world.send({ id: 1, t: T, pulse: 3 });
    await done(1);
    const [dead] = on('out/dead');
    assert.deepEqual([dead?.body['reason'], dead?.body['field']], ['Refused', 'UNAVAILABLE']);
    const tries = world.predictor.asked.filter((rows) => rows.some(({ pulse }) => pulse === 3));
    assert.equal(tries.length, 3);
    await world.send({ id: 2, t: T + 1, pulse: 4 });
    await done(2);
    assert.deepEqual(scores(), [4]);
    assert.equal(world.runner.status().state, 'Running');
  });

  it('a worker that answers for no row at all keeps everything waiting, however long that takes', async () => {
    let refused = 0;
    world.predictor.refuse = () => {
      refused += 1;
      throw died;
    };
    for (const index of [0, 1, 2]) await world.send({ id: index, t: T + index, pulse: index });
    await eventually('many tries', () => (refused >= 24 ? true : undefined), 20_000);
    assert.equal(world.runner.status().completed, 0);
    assert.equal(world.runner.status().reason?.code, 'UNAVAILABLE');
    assert.deepEqual(world.runner.status().deadLetters, {});
    world.predictor.refuse = () => undefined;
    await done(3);
    await sleep(20);
    assert.deepEqual(scores(), [0, 1, 2]);
  });

  it('of whatever QoS, a message that cannot be used is one dead letter, and is done with', async () => {
    const large = new Uint8Array(LIMITS.streamPayloadBytes + 1);
    await world.send(Buffer.from('{'), { qos: 0 });
    await world.send(large, { qos: 0 });
    await world.send(large);
    // What a broker makes of a topic that is not UTF-8, or the device itself.
    await world.send({ id: 1, t: T, pulse: 1 }, { bed: 'b\uFFFD' });
    await world.send({ id: 2, t: T, pulse: 2 }, { qos: 0 });
    await done(5);
    await eventually('the result', () => (scores().length === 1 ? true : undefined));
    assert.deepEqual(world.runner.status().deadLetters, { NotJson: 1, TooLarge: 2, NoKey: 1 });
    assert.equal(world.runner.status().outstandingBytes, 0);
    assert.equal(on('out/dead').length, 4);
  });

  it('a record without a column that the model has nothing in the place of is a dead letter; null is a missing value', async () => {
    await world.close();
    const columns = { pulse: 'pulse', spo2: 'spo2', lactate: 'lactate' };
    world = new StreamWorld(pipeline({ ...RECORDS, payload: { ...RECORDS.payload, columns } }), {});
    const features = [
      { name: 'spo2', type: 'Numeric' as const },
      { name: 'lactate', type: 'Numeric' as const, impute: 1 },
    ];
    const { manifest } = registeredModel({ name: 'sepsis', spec: trainingSpec({ features }) });
    const loaded = { name: 'sepsis', version: 1, manifest, outputs: ['bad'], columns: [], backend: 'cpu' };
    world.predictor.loaded = [{ ...loaded, task: 'Binary', active: true }];
    await world.open();
    await world.start();
    await world.send({ id: 1, t: T, pulse: 1, spo2: 97, lactate: 2 });
    await world.send({ id: 2, t: T, pulse: 2 });
    await world.send({ id: 3, t: T, pulse: 3, spo2: null });
    await world.send({ id: 4, t: T, pulse: 4, lactate: 2 });
    await done(4);
    assert.deepEqual(scores(), [1, 3]);
    assert.deepEqual(world.runner.status().deadLetters, { Incomplete: 2 });
    assert.deepEqual(
      on('dead').map(({ body }) => [body['reason'], body['field']]),
      [
        ['Incomplete', 'spo2'],
        ['Incomplete', 'spo2'],
      ],
    );
  });

  it('a column of the model that the pipeline never makes has everything wait, and is named', async () => {
    const features = [{ name: 'spo2', type: 'Numeric' as const }];
    const { manifest } = registeredModel({ name: 'sepsis', spec: trainingSpec({ features }) });
    const loaded = { name: 'sepsis', version: 2, manifest, outputs: ['bad'], columns: [], backend: 'cpu' };
    world.predictor.loaded = [{ ...loaded, task: 'Binary', active: true }];
    await world.send({ id: 1, t: T, pulse: 1 });
    const { code, detail } = await eventually('the reason', () => world.runner.status().reason ?? undefined);
    assert.equal(code, 'CONFIG_INVALID');
    assert.match(detail, /makes no column spo2, which sepsis@2 needs; name it in spec\.payload\.columns/);
    assert.deepEqual(scores(), []);
    world.predictor.loaded = [];
    await done(1);
  });
});
