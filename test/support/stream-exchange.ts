import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';
import type { InboundMessage } from '@tributary/edge-agent/internal/streams-ports.js';

import { localBroker, mqttParts } from './mqtt-ends.js';

export interface ExchangeOptions {
  readonly port: number;
  readonly protocol: 'V3' | 'V5';
  /** Beginning of the client ids at the broker. */
  readonly name: string;
  /** Topic filters of the results. */
  readonly results: readonly string[];
  /** Records that are published at most. */
  readonly records: number;
  /**
   * Position of the record that a message answers, from 0; undefined where it says nothing new of any. What it throws,
   * figures() throws.
   */
  readonly answered: (message: InboundMessage) => number | undefined;
  /** What repetitions of a result have in common; where absent every further result of a record is another one. */
  readonly identityOf?: (message: InboundMessage) => string;
  /** Milliseconds for which the broker keeps results while it is away or we are; none by default. */
  readonly sessionMs?: number;
  /** Told of the first result of each record. */
  readonly counted?: (record: number, latencyMs: number) => void;
}

export interface ExchangeFigures {
  readonly sent: number;
  /** Records with a result, or several. */
  readonly answered: number;
  readonly lost: number;
  /** Records with several results. */
  readonly doubled: number;
  /** Results that came once more with the identity of the first. */
  readonly repeated: number;
  /** Of {@link StreamExchange.latencies}; NaN without any. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The nearest-rank quantile, `rank` above 0 up to 1; NaN without values. */
export function quantileOf(values: Float64Array, rank: number): number {
  return values.slice().sort()[Math.ceil(values.length * rank) - 1] ?? Number.NaN;
}

/** Publishes records with QoS 1 and receives their results, by the clock of one process: the other side of an agent. */
export class StreamExchange {
  readonly #sink: MqttSink;
  readonly #source: MqttSource;
  readonly #sentMs: Float64Array;
  readonly #latencies: Float64Array;
  readonly #answers: Uint32Array;
  readonly #identities: string[] = [];
  #repeated = 0;
  #sent = 0;
  #answered = 0;
  #lastMs = 0;
  #error: Error | undefined;

  private constructor({ port, protocol, name, results, records, sessionMs = 0 }: ExchangeOptions) {
    const broker = localBroker(port, protocol);
    const subscription = { topics: results, qos: 1 } as const;
    this.#source = new MqttSource({ broker, clientId: `${name}-in`, subscription, sessionMs }, mqttParts);
    this.#sink = new MqttSink({ broker, clientId: `${name}-out` }, mqttParts);
    this.#sentMs = new Float64Array(records);
    this.#latencies = new Float64Array(records);
    this.#answers = new Uint32Array(records);
  }

  /** Subscribes to the results. */
  static async open(options: ExchangeOptions): Promise<StreamExchange> {
    const exchange = new StreamExchange(options);
    await exchange.#source.start((message) => {
      exchange.#receive(message, options);
      message.acknowledge();
    });
    return exchange;
  }

  get sent(): number {
    return this.#sent;
  }

  /** Records with a result. */
  get answered(): number {
    return this.#answered;
  }

  /** Records that the broker does not have yet. */
  get queued(): number {
    return this.#sink.queued;
  }

  /** When the newest first result came: performance.now(). */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Milliseconds from the call that published each record to the arrival of its first result; of those that have one. */
  latencies(): Float64Array {
    return this.#latencies.filter((_, record) => (this.#answers[record] ?? 0) > 0);
  }

  /** Publishes record number `record`. One that the broker does not take stays without a result. */
  publish(record: number, topic: string, payload: Uint8Array): void {
    this.#sentMs[record] = performance.now();
    this.#sent += 1;
    this.#sink.publish(topic, payload, { qos: 1 }).catch(() => undefined);
  }

  figures(): ExchangeFigures {
    if (this.#error !== undefined) throw this.#error;
    const latencies = this.latencies();
    return {
      sent: this.#sent,
      answered: this.#answered,
      lost: this.#sent - this.#answered,
      doubled: this.#answers.reduce((sum, count) => sum + Number(count > 1), 0),
      repeated: this.#repeated,
      p50Ms: quantileOf(latencies, 0.5),
      p99Ms: quantileOf(latencies, 0.99),
    };
  }

  async close(): Promise<void> {
    await Promise.all([this.#source.close(), this.#sink.close()]);
  }

  #receive(message: InboundMessage, { answered, counted, identityOf }: ExchangeOptions): void {
    try {
      const record = answered(message);
      if (record === undefined || this.#isRepeated(record, identityOf?.(message))) return;
      if (this.#isFirst(record)) counted?.(record, this.#latencies[record] ?? Number.NaN);
    } catch (error) {
      this.#error ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  #isRepeated(record: number, identity: string | undefined): boolean {
    if (identity === undefined) return false;
    const known = (this.#identities[record] ??= identity) === identity && (this.#answers[record] ?? 0) > 0;
    if (known) this.#repeated += 1;
    return known;
  }

  #isFirst(record: number): boolean {
    const answers = (this.#answers[record] ?? 0) + 1;
    this.#answers[record] = answers;
    if (answers > 1) return false;
    this.#lastMs = performance.now();
    this.#latencies[record] = this.#lastMs - (this.#sentMs[record] ?? 0);
    this.#answered += 1;
    return true;
  }
}
