import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';

import { localBroker, mqttParts } from '../support/mqtt-ends.js';
import { eventually } from '../support/waiting.js';
import { rounded } from './bench-case.js';

export interface StreamLoad {
  readonly port: number;
  readonly protocol: 'V3' | 'V5';
  /** Records published to, and results awaited at. */
  readonly records: string;
  readonly results: string;
  readonly messages: number;
  /** As fast as answers come where absent. */
  readonly perSecond?: number;
  /** Bytes of record `sequence`, which its result must repeat in the field `sequence`. */
  readonly record: (sequence: number) => Uint8Array;
}

export interface StreamFigures {
  readonly messagesPerSecond: number;
  /** From the call that publishes a record to the arrival of its result. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lost: number;
  readonly doubled: number;
}

/** Records on their way at the same time when there is no rate: enough to fill every queue between. */
const OUTSTANDING = 2_000;

/** Publishes records with QoS 1 and counts their results: the other process of the stream benchmarks. */
export async function loadStream(load: StreamLoad): Promise<StreamFigures> {
  const broker = localBroker(load.port, load.protocol);
  const source = new MqttSource(
    {
      broker,
      clientId: 'bench-counter',
      subscription: { topics: [load.results], qos: 1 },
      sessionMs: 0,
    },
    mqttParts,
  );
  const sink = new MqttSink({ broker, clientId: 'bench-load' }, mqttParts);
  const sentMs = new Float64Array(load.messages);
  const answers = new Uint32Array(load.messages);
  const latencies = new Float64Array(load.messages);
  let answered = 0;
  let lastMs = 0;
  await source.start((message) => {
    const { sequence } = JSON.parse(Buffer.from(message.payload).toString()) as { sequence: number };
    answers[sequence] = (answers[sequence] ?? 0) + 1;
    if (answers[sequence] === 1) {
      lastMs = performance.now();
      latencies[answered] = lastMs - (sentMs[sequence] ?? 0);
      answered += 1;
    }
    message.acknowledge();
  });
  try {
    const startMs = performance.now();
    for (let sequence = 0; sequence < load.messages; sequence += 1) {
      while (sequence >= allowed(load, performance.now() - startMs, answered)) await pauseOf(load);
      sentMs[sequence] = performance.now();
      sink.publish(load.records, load.record(sequence), { qos: 1 }).catch(() => undefined);
    }
    await eventually('the last result', () => answered === load.messages || undefined, 15_000).catch(
      () => undefined,
    );
    const sorted = latencies.subarray(0, answered).sort();
    return {
      messagesPerSecond: Math.round((answered / (lastMs - startMs)) * 1_000),
      p50Ms: rounded(sorted[Math.floor(answered / 2)] ?? Number.NaN),
      p99Ms: rounded(sorted[Math.floor(answered * 0.99)] ?? Number.NaN),
      lost: load.messages - answered,
      doubled: answers.filter((count) => count > 1).length,
    };
  } finally {
    await Promise.all([source.close(), sink.close()]);
  }
}

const allowed = ({ perSecond }: StreamLoad, elapsedMs: number, answered: number): number =>
  perSecond === undefined ? answered + OUTSTANDING : (elapsedMs * perSecond) / 1_000;

const pauseOf = ({ perSecond }: StreamLoad): Promise<void> =>
  perSecond === undefined ? nextTurn() : sleep(1);
