import { setTimeout as sleep } from 'node:timers/promises';

import type { InboundMessage } from '@tributary/edge-agent/internal/streams-ports.js';

import { quantileOf, StreamExchange, type ExchangeFigures } from '../support/stream-exchange.js';
import { eventually } from '../support/waiting.js';
import { rounded } from './bench-case.js';

export interface StreamLoad {
  readonly port: number;
  readonly protocol: 'V3' | 'V5';
  /** Where results are awaited. */
  readonly results: string;
  /** Records at most. */
  readonly messages: number;
  /** Nothing more need be sent. */
  readonly enough?: () => boolean;
  /** As fast as answers come where absent. */
  readonly perSecond?: number;
  /** Topic and bytes of record `sequence`. */
  readonly record: (sequence: number) => { readonly topic: string; readonly payload: Uint8Array };
  /** The record that a result answers, from 0. */
  readonly sequenceOf: (result: InboundMessage) => number;
  /** What repetitions of a result have in common. */
  readonly identityOf?: (result: InboundMessage) => string;
  /** Milliseconds for which the broker keeps results across its restarts. */
  readonly sessionMs?: number;
  /** Told now and then how many records are answered. */
  readonly onAnswered?: (answered: number) => void;
}

export interface StreamFigures extends Omit<ExchangeFigures, 'sent' | 'answered'> {
  readonly messagesPerSecond: number;
  readonly maxMs: number;
}

/** Records on their way at the same time when there is no rate: enough to fill every queue between. */
const OUTSTANDING = 2_000;
/** Records that wait for a broker that is away. */
const MOST_QUEUED = 5_000;
const TOLD_EVERY = 1_000;

/** Publishes records with QoS 1 and counts their results: the other process of the stream benchmarks. */
export async function loadStream(load: StreamLoad): Promise<StreamFigures> {
  let counted = 0;
  const exchange = await StreamExchange.open({
    ...load,
    name: 'bench-load',
    results: [load.results],
    records: load.messages,
    // A result of an earlier load may come late.
    answered: (message) => {
      const sequence = load.sequenceOf(message);
      return sequence >= 0 && sequence < load.messages ? sequence : undefined;
    },
    counted: () => {
      counted += 1;
      if (counted % TOLD_EVERY === 0) load.onAnswered?.(counted);
    },
  });
  try {
    const startMs = performance.now();
    for (let sequence = 0; sequence < load.messages && load.enough?.() !== true; sequence += 1) {
      while (
        sequence >= allowed(load, performance.now() - startMs, exchange.answered) ||
        exchange.queued > MOST_QUEUED
      )
        // Asleep, not asking again and again: the agent and the broker share the processor with this process.
        await sleep(1);
      const { topic, payload } = load.record(sequence);
      exchange.publish(sequence, topic, payload);
    }
    const whole = (): true | undefined => exchange.answered === exchange.sent || undefined;
    await eventually('the last result', whole, 30_000).catch(() => undefined);
    const { sent: _, answered, p50Ms, p99Ms, ...counts } = exchange.figures();
    return {
      messagesPerSecond: Math.round((answered / (exchange.lastMs - startMs)) * 1_000),
      p50Ms: rounded(p50Ms),
      p99Ms: rounded(p99Ms),
      maxMs: rounded(quantileOf(exchange.latencies(), 1)),
      ...counts,
    };
  } finally {
    await exchange.close();
  }
}

const allowed = ({ perSecond }: StreamLoad, elapsedMs: number, answered: number): number =>
  perSecond === undefined ? answered + OUTSTANDING : (elapsedMs * perSecond) / 1_000;
