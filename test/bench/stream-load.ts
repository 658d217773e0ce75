import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

import { StreamExchange, type ExchangeFigures } from '../support/stream-exchange.js';
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

export interface StreamFigures extends Omit<ExchangeFigures, 'sent' | 'answered'> {
  readonly messagesPerSecond: number;
}

/** Records on their way at the same time when there is no rate: enough to fill every queue between. */
const OUTSTANDING = 2_000;

/** Publishes records with QoS 1 and counts their results: the other process of the stream benchmarks. */
export async function loadStream(load: StreamLoad): Promise<StreamFigures> {
  const exchange = await StreamExchange.open({
    port: load.port,
    protocol: load.protocol,
    name: 'bench-load',
    results: [load.results],
    records: load.messages,
    answered: ({ payload }) =>
      (JSON.parse(Buffer.from(payload).toString()) as { readonly sequence: number }).sequence,
  });
  try {
    const startMs = performance.now();
    for (let sequence = 0; sequence < load.messages; sequence += 1) {
      while (sequence >= allowed(load, performance.now() - startMs, exchange.answered)) await pauseOf(load);
      exchange.publish(sequence, load.records, load.record(sequence));
    }
    await eventually('the last result', () => exchange.answered === load.messages || undefined, 15_000).catch(
      () => undefined,
    );
    const { answered, lost, doubled, p50Ms, p99Ms } = exchange.figures();
    return {
      messagesPerSecond: Math.round((answered / (exchange.lastMs - startMs)) * 1_000),
      p50Ms: rounded(p50Ms),
      p99Ms: rounded(p99Ms),
      lost,
      doubled,
    };
  } finally {
    await exchange.close();
  }
}

const allowed = ({ perSecond }: StreamLoad, elapsedMs: number, answered: number): number =>
  perSecond === undefined ? answered + OUTSTANDING : (elapsedMs * perSecond) / 1_000;

const pauseOf = ({ perSecond }: StreamLoad): Promise<void> =>
  perSecond === undefined ? nextTurn() : sleep(1);
