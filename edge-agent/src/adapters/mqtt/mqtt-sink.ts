import { LIMITS, TributaryError } from '@tributary/proto';
import type { IPubackPacket, Packet } from 'mqtt-packet';

import type { BrokerConfig } from '../../broker-config.js';
import type { BrokerStatus, MessageSink, PublishOptions } from '../../streams-ports.js';
import type { BrokerConnection, BrokerTerms } from './broker-connection.js';
import { BrokerLink, type MqttParts } from './broker-link.js';
import type { LastWill, Publication } from './packets.js';
import { isRefusal, refusedBy, unanswered } from './reason-codes.js';
import { requireTopic } from './topics.js';

export interface MqttSinkOptions {
  readonly broker: BrokerConfig;
  /** Of nobody else. */
  readonly clientId: string;
  readonly will?: LastWill;
  /** Bounds of the queue; LIMITS.sinkMessages and LIMITS.sinkBytes by default. */
  readonly maximumMessages?: number;
  readonly maximumBytes?: number;
}

interface Pending {
  readonly publication: Publication;
  readonly resolve: () => void;
  readonly reject: (error: TributaryError) => void;
}

/**
 * Publishes with MQTT 3.1.1 or 5 in a session of its own connection, which ends with it: what has no PUBACK then is
 * published anew on the next one. Never shares a connection with a source, whose pause would keep the PUBACKs away.
 */
export class MqttSink implements MessageSink {
  readonly #options: MqttSinkOptions;
  readonly #parts: MqttParts;
  readonly #link: BrokerLink;
  readonly #inFlight = new Map<number, Pending>();
  #waiting: Pending[] = [];
  /** Of `#waiting`, where those begin that are not sent yet: cheaper than to shift. */
  #next = 0;
  #bytes = 0;
  #connection: BrokerConnection | undefined;
  #terms: BrokerTerms | undefined;
  #blocked = false;
  #lastId = 0;
  #closing = false;
  #cancelWatch: () => void = () => undefined;
  #whenEmpty: () => void = () => undefined;

  constructor(options: MqttSinkOptions, parts: MqttParts) {
    this.#options = options;
    this.#parts = parts;
    const introduction = {
      clientId: options.clientId,
      sessionMs: 0,
      keepAliveMs: LIMITS.keepaliveTimeMs,
      receiveMaximum: 1,
      maximumPacketSize: LIMITS.brokerPacketBytes,
      will: options.will,
    };
    this.#link = new BrokerLink(
      options.broker,
      introduction,
      {
        connected: (connection, terms) => this.#connected(connection, terms),
        packet: (packet) => this.#take(packet),
        oversized: () => undefined,
        drained: () => this.#drained(),
        disconnected: () => this.#disconnected(),
      },
      parts,
    );
    this.#link.start();
  }

  get status(): BrokerStatus {
    const { status } = this.#link;
    return status.state === 'Connected' ? { state: 'Connected', subscribed: false } : status;
  }

  get queued(): number {
    return this.#inFlight.size + this.#waiting.length - this.#next;
  }

  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      requireTopic(topic);
      this.#admit(payload.length + topic.length);
      const publication = {
        topic,
        payload,
        qos: options.qos,
        retain: options.retain ?? false,
        properties: options.properties ?? {},
      };
      this.#waiting.push({ publication, resolve, reject });
      this.#pump();
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (this.queued > 0) await this.#drainedOrLate();
    await this.#link.close();
    const left = [...this.#inFlight.values(), ...this.#waiting.slice(this.#next)];
    this.#inFlight.clear();
    this.#waiting = [];
    this.#next = 0;
    for (const { reject } of left) reject(this.#closed());
  }

  /** Throws where the queue takes nothing more. */
  #admit(bytes: number): void {
    if (this.#closing) throw this.#closed();
    const { broker, maximumMessages = LIMITS.sinkMessages, maximumBytes = LIMITS.sinkBytes } = this.#options;
    if (this.queued < maximumMessages && this.#bytes + bytes <= maximumBytes) {
      this.#bytes += bytes;
      return;
    }
    throw new TributaryError(
      'OVERLOADED',
      `broker ${broker.name}: ${String(this.queued)} messages wait for it already`,
      { fields: { broker: broker.name, queued: this.queued } },
    );
  }

  #drainedOrLate(): Promise<void> {
    const { clock } = this.#parts;
    return new Promise((resolve) => {
      const cancel = clock.at(clock.now() + LIMITS.drainMs, resolve);
      this.#whenEmpty = () => {
        cancel();
        resolve();
      };
    });
  }

  #connected(connection: BrokerConnection, terms: BrokerTerms): void {
    this.#connection = connection;
    this.#terms = terms;
    this.#blocked = false;
    this.#watch(undefined);
    this.#pump();
  }

  /** Gives the connection up where one message waits for its PUBACK from one look to the next. */
  #watch(seen: Pending | undefined): void {
    const { clock } = this.#parts;
    this.#cancelWatch = clock.at(clock.now() + LIMITS.unaryDeadlineMs, () => {
      const [oldest] = this.#inFlight.values();
      if (oldest === undefined || oldest !== seen) this.#watch(oldest);
      else this.#connection?.fail(unanswered(this.#options.broker.name, 'a message'));
    });
  }

  #disconnected(): void {
    this.#cancelWatch();
    this.#connection = undefined;
    this.#waiting = [...this.#inFlight.values(), ...this.#waiting.slice(this.#next)];
    this.#next = 0;
    this.#inFlight.clear();
  }

  #drained(): void {
    this.#blocked = false;
    this.#pump();
  }

  #take(packet: Packet): void {
    if (packet.cmd === 'puback') this.#confirmed(packet);
    else
      this.#connection?.fail(
        new TributaryError('INVALID_ARGUMENT', `the broker sent an unexpected ${packet.cmd}`),
      );
  }

  #confirmed({ messageId = 0, reasonCode }: IPubackPacket): void {
    const pending = this.#inFlight.get(messageId);
    if (pending === undefined) return;
    this.#inFlight.delete(messageId);
    if (isRefusal(reasonCode))
      this.#settle(pending, refusedBy(this.#options.broker.name, 'the message', reasonCode));
    else this.#settle(pending, undefined);
    this.#pump();
  }

  #pump(): void {
    const [connection, terms] = [this.#connection, this.#terms];
    if (connection === undefined || terms === undefined) return;
    while (!this.#blocked && this.#inFlight.size < terms.receiveMaximum) {
      const pending = this.#waiting[this.#next];
      if (pending === undefined) break;
      this.#next += 1;
      this.#send(pending, connection, terms);
    }
    this.#compact();
  }

  #send(pending: Pending, connection: BrokerConnection, terms: BrokerTerms): void {
    const { publication } = pending;
    const id = publication.qos === 0 ? undefined : this.#freeId();
    const packet = connection.codec.publish(id, publication);
    const refusal = this.#beyond(publication, packet.length, terms);
    if (refusal !== undefined) {
      this.#settle(pending, refusal);
      return;
    }
    if (id !== undefined) this.#inFlight.set(id, pending);
    this.#blocked = !connection.write(packet);
    if (id === undefined) this.#settle(pending, undefined);
  }

  /** What the broker has said it does not take: sent all the same, it would end the connection. */
  #beyond({ qos, retain }: Publication, bytes: number, terms: BrokerTerms): TributaryError | undefined {
    const { name } = this.#options.broker;
    if (bytes > terms.maximumPacketSize)
      return new TributaryError(
        'LIMIT_EXCEEDED',
        `broker ${name} takes packets of ${String(terms.maximumPacketSize)} bytes; this one has ${String(bytes)}`,
      );
    if (qos > terms.maximumQos || (retain && !terms.retain))
      return new TributaryError('INVALID_ARGUMENT', `broker ${name} does not support QoS 1, or retain`);
    return undefined;
  }

  #freeId(): number {
    do this.#lastId = (this.#lastId % 0xffff) + 1;
    while (this.#inFlight.has(this.#lastId));
    return this.#lastId;
  }

  #settle({ publication, resolve, reject }: Pending, error: TributaryError | undefined): void {
    this.#bytes -= publication.payload.length + publication.topic.length;
    if (error === undefined) resolve();
    else reject(error);
    if (this.queued === 0) this.#whenEmpty();
  }

  #compact(): void {
    if (this.#next < 1_024 && this.#next < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#next);
    this.#next = 0;
  }

  #closed(): TributaryError {
    return new TributaryError('SHUTTING_DOWN', `broker ${this.#options.broker.name}: the sink was closed`);
  }
}
