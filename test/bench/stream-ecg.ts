import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';
import type { StreamMessage } from '@tributary/edge-agent/internal/domain/streams/payload/message.js';
import { setTimeout as sleep } from 'node:timers/promises';

import { localBroker, mqttParts } from '../support/mqtt-ends.js';
import { play } from '../support/stream-pipeline.js';
import { rounded } from './bench-case.js';
import { BenchAgent, canPin } from './stream-agent.js';
import type { StreamCase } from './stream-cases.js';
import { beatPipeline, FIRST_MS } from './stream-model.js';
import { decisionIdOf } from './stream-records.js';

/** Five minutes of MIT-BIH record 208, lead MLII, 360 Hz (PhysioNet, ODC-By 1.0). */
const LEAD = join(import.meta.dirname, '../../data/ecg_mitdb208_360hz.u16le.gz');
const BEDS = 64;
const RATE_HZ = 360;
const SAMPLES = 36;
const SAMPLE_BYTES = 2;
const MESSAGE_MS = (SAMPLES / RATE_HZ) * 1_000;
const WARM_UP_SECONDS = 5;
const SECONDS = 40;
/** Messages of each bed. */
const MESSAGES = (WARM_UP_SECONDS + SECONDS) * (1_000 / MESSAGE_MS);
/** Results may take this long after the last message. */
const REST_MS = 3_000;

interface BedMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** Message `index` of a bed; each bed is at another place of the record. */
function bedMessage(lead: Uint8Array, bed: number, index: number): BedMessage {
  const bytes = SAMPLES * SAMPLE_BYTES;
  const places = Math.floor(lead.length / bytes) - MESSAGES;
  const first = (((bed * 40) % places) + index) * bytes;
  return {
    topic: `bench/ecg/${String(bed)}/${String(FIRST_MS + index * MESSAGE_MS)}`,
    payload: lead.subarray(first, first + bytes),
  };
}

/** Ids of the decisions that the messages bring about, with nothing between but the windows themselves. */
function expectedIds(lead: Uint8Array): ReadonlySet<string> {
  const ids = new Set<string>();
  for (let bed = 0; bed < BEDS; bed += 1) {
    const messages = Array.from({ length: MESSAGES }, (_, index): StreamMessage => {
      const { topic, payload } = bedMessage(lead, bed, index);
      return { topic, payload, properties: {}, arrivalMs: FIRST_MS, redelivered: false };
    });
    for (const { id } of play(beatPipeline, messages, { flush: false }).decisions) ids.add(id);
  }
  return ids;
}

/** 64 beds with 360 samples a second, in messages of a tenth of one: beats around R peaks, answered on one core. */
export const ecg: StreamCase = async ({ broker, protocol, note }) => {
  const lead = gunzipSync(await readFile(LEAD));
  const expected = expectedIds(lead);
  note(`${String(expected.size)} beats of ${String(BEDS)} beds`);
  const local = localBroker(broker.port, protocol);
  const sentMs = new Float64Array(MESSAGES * BEDS);
  const results = new Map<string, number>();
  const latencies: number[] = [];
  const source = new MqttSource(
    {
      broker: local,
      clientId: 'bench-beats',
      subscription: { topics: ['bench/beat/+'], qos: 1 },
      sessionMs: 0,
    },
    mqttParts,
  );
  await source.start((message) => {
    const id = decisionIdOf(message);
    results.set(id, (results.get(id) ?? 0) + 1);
    const { key, window } = JSON.parse(Buffer.from(message.payload).toString()) as {
      readonly key: string;
      readonly window: { readonly endMs: number };
    };
    // The last sample of the window came with this message.
    const index = Math.floor((window.endMs - FIRST_MS - 1) / MESSAGE_MS);
    const sent = sentMs[index * BEDS + Number(key)] ?? Number.NaN;
    if (index * MESSAGE_MS >= WARM_UP_SECONDS * 1_000) latencies.push(performance.now() - sent);
    message.acknowledge();
  });
  const sink = new MqttSink({ broker: local, clientId: 'bench-beds' }, mqttParts);
  const agent = await BenchAgent.start({
    port: broker.port,
    protocol,
    pipeline: beatPipeline,
    oneCore: true,
  });
  try {
    const startMs = performance.now();
    let before = await agent.figures();
    let beforeMs = startMs;
    for (let sequence = 0; sequence < sentMs.length; sequence += 1) {
      const bed = sequence % BEDS;
      const index = Math.floor(sequence / BEDS);
      // Beds send when they please, not all at once.
      const dueMs = startMs + (index + bed / BEDS) * MESSAGE_MS;
      while (performance.now() < dueMs) await sleep(1);
      if (sequence === WARM_UP_SECONDS * 10 * BEDS) {
        before = await agent.figures();
        beforeMs = performance.now();
      }
      const { topic, payload } = bedMessage(lead, bed, index);
      sentMs[sequence] = performance.now();
      sink.publish(topic, payload, { qos: 1 }).catch(() => undefined);
    }
    const endMs = performance.now();
    const after = await agent.figures();
    await sleep(REST_MS);
    const perSecond = (BEDS * 1_000) / MESSAGE_MS;
    const messagesPerSecond = Math.round((sentMs.length / (endMs - startMs)) * 1_000);
    latencies.sort((a, b) => a - b);
    const at = (part: number): number => rounded(latencies[Math.floor((latencies.length - 1) * part)] ?? NaN);
    return {
      case: 'ecg',
      messagesPerSecond,
      floorMessagesPerSecond: perSecond,
      ratio: rounded(messagesPerSecond / perSecond),
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(1),
      lost: [...expected].filter((id) => !results.has(id)).length,
      doubled: [...results.keys()].filter((id) => !expected.has(id)).length,
      repeated: [...results.values()].filter((count) => count > 1).length,
      beats: expected.size,
      oneCore: canPin(),
      cpuShare: rounded((after.cpuUs - before.cpuUs) / 1_000 / (endMs - beforeMs)),
    };
  } finally {
    await agent.stop();
    await Promise.all([source.close(), sink.close()]);
  }
};
