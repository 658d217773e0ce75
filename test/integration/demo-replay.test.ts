import assert from 'node:assert/strict';

import { parseStreamPipeline } from '@tributary/proto';
import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';

import type { HeldOutRecord } from '../demo/replay/held-out.js';
import { topicOf, valueIn } from '../demo/replay/planned-pipeline.js';
import { predictionFailures, replayAll, type PredictionFigures } from '../demo/replay/predictions.js';
import { SiteBrokers } from '../demo/replay/site-brokers.js';
import { localBroker, mqttParts } from '../support/mqtt-ends.js';
import { pipelineDocument } from '../support/stream-pipeline.js';

const RECORD = 'points/{point}/record';
const RESULT = 'points/{point}/answer';

const document = parseStreamPipeline(
  pipelineDocument({
    model: { name: 'points', output: 'far' },
    source: { broker: 'site', topics: [RECORD] },
    payload: { type: 'Json', columns: { x: 'x' }, id: 'id' },
    key: 'points',
    result: { topic: RESULT },
  }),
);

const records: readonly HeldOutRecord[] = Array.from({ length: 60 }, (_, index) => ({
  cells: { x: index },
  score: index / 64,
  label: Number(index % 3 === 0),
}));

/** Decision id and score of each answer to a record. */
type Answers = (record: number) => readonly { readonly decisionId: string; readonly score: number }[];

const right = (record: number) => ({ decisionId: `d${String(record)}`, score: record / 64 });

/** What a demo makes of a stream, with agents of which it is known what they do wrong. */
describe('the replay of held-out records', () => {
  let brokers: SiteBrokers;
  before(async () => {
    brokers = await SiteBrokers.start(['north', 'south']);
  });
  after(() => brokers.stop());

  async function replayed(answers: Answers): Promise<PredictionFigures> {
    const sites = ['north', 'south'].map((site) => ({ site, port: brokers.portOf(site), records }));
    const agents = await Promise.all(sites.map(({ port }) => answering(port, answers)));
    try {
      return await replayAll(sites, {
        pipeline: { file: '', text: '', document },
        served: { model: 'points', version: 1 },
        seconds: 0.2,
        patienceMs: 1_000,
      });
    } finally {
      await Promise.all(agents.map((close) => close()));
    }
  }

  it('finds nothing wrong where every record is answered as evaluated, repeated results or not', async () => {
    const figures = await replayed((record) => [right(record), right(record)]);
    assert.deepEqual(predictionFailures(figures), []);
    assert.deepEqual([figures.sent, figures.answered, figures.doubled], [120, 120, 0]);
    assert.equal(figures.coherence.scoreDifference, 0);
    assert.ok(figures.p50Ms > 0 && figures.p99Ms >= figures.p50Ms, String(figures.p50Ms));
  });

  it('tells of records without an answer', async () => {
    const figures = await replayed((record) => (record % 20 === 7 ? [] : [right(record)]));
    assert.deepEqual(predictionFailures(figures), ['6 records got no answer']);
  });

  it('tells of records that were decided twice', async () => {
    const figures = await replayed((record) => [
      right(record),
      ...(record === 5 ? [{ decisionId: 'other', score: record / 64 }] : []),
    ]);
    assert.deepEqual(predictionFailures(figures), ['2 records were decided more than once']);
  });

  it('tells of a score that is not that of the evaluation', async () => {
    const shifted = await replayed((record) => [
      { ...right(record), score: record / 64 + (record === 11 ? 2e-6 : 0) },
    ]);
    assert.match(predictionFailures(shifted).join(), /^a score of the stream is 2\.0e-6 off/);
    const swapped = await replayed((record) => [{ ...right(record), score: (59 - record) / 64 }]);
    assert.match(predictionFailures(swapped).join(), /a score of .*,the AUC of the stream is/);
  });
});

/** An agent that answers as told; gives what ends it. */
async function answering(port: number, answers: Answers): Promise<() => Promise<void>> {
  const broker = localBroker(port, 'V3');
  const sink = new MqttSink({ broker, clientId: 'agent-out' }, mqttParts);
  const subscription = { topics: [topicOf(RECORD, '+')], qos: 1 } as const;
  const source = new MqttSource({ broker, clientId: 'agent-in', subscription, sessionMs: 0 }, mqttParts);
  await source.start((message) => {
    const record = Number(valueIn(RECORD, message.topic));
    for (const answer of answers(record)) {
      const result = { ...answer, window: { startMs: 0, endMs: 0 }, model: 'points', version: 1 };
      const payload = Buffer.from(JSON.stringify(result));
      sink.publish(topicOf(RESULT, String(record)), payload, { qos: 1 }).catch(() => undefined);
    }
    message.acknowledge();
  });
  return async () => {
    await Promise.all([source.close(), sink.close()]);
  };
}
