import { LIMITS, TributaryError } from '@tributary/proto';
import type { IPublishPacket, ISubackPacket, Packet } from 'mqtt-packet';

import type { BrokerConfig } from '../../broker-config.js';
import type { BrokerStatus, InboundMessage, MessageSource, Subscription } from '../../streams-ports.js';
import type { BrokerConnection, BrokerTerms } from './broker-connection.js';
import { BrokerLink, type LinkHandler, type MqttParts } from './broker-link.js';
import { Farewell } from './farewell.js';
import { DISCONNECT_FOR_GOOD, type LastWill } from './packets.js';
import { isRefusal, refusedBy, unanswered } from './reason-codes.js';
import { requireFilter } from './topics.js';

export interface MqttSourceOptions {
  readonly broker: BrokerConfig;
  /**
   * The same across restarts, and of nobody else: the broker keeps what is not acknowledged under it. A source with other
   * topics needs another, or it receives those of before too.
   */
  readonly clientId: string;
  readonly subscription: Subscription;
  /** Messages delivered and not acknowledged at which nothing more is read; LIMITS.brokerInFlight by default. */
  readonly receiveMaximum?: number;
  /** ms for which an MQTT 5 broker keeps what is meant for an absent source; LIMITS.brokerSessionMs by default. */
  readonly sessionMs?: number;
  readonly will?: LastWill;
}

interface Settlers {
  readonly resolve: () => void;
  readonly reject: (error: TributaryError) => void;
}

const SUBSCRIBE_ID = 1;

/**
 * Subscribes with MQTT 3.1.1 or 5. PUBACKs are held until a message is acknowledged, and sent in the order in which that
 * happens, not in that of arrival [MQTT-4.6.0-2]: one message that waits for its window holds up no other, and after a
 * reconnection only what is not acknowledged comes again.
 */
export class MqttSource implements MessageSource {
  readonly #options: MqttSourceOptions;
  readonly #parts: MqttParts;
  #link: BrokerLink;
  readonly #receiveMaximum: number;
  #receive: ((message: InboundMessage) => void) | undefined;
  #started: Settlers | undefined;
  #left: Settlers | undefined;
  #leaving: Promise<void> | undefined;
  #farewell: Farewell | undefined;
  #closed = false;
  #connection: BrokerConnection | undefined;
  #subscribed = false;
  /** The broker was told the subscriptions by this object: in a session that it kept they need not be repeated. */
  #known = false;
  #paused = false;
  #reading = true;
  #draining = false;
  /** Read with others before a pause. */
  #waiting: IPublishPacket[] = [];
  /** Packet identifiers delivered on this connection and not acknowledged. */
  #held = new Set<number>();
  #refused = 0;
  #cancelDeadline: () => void = () => undefined;

  constructor(options: MqttSourceOptions, parts: MqttParts) {
    this.#options = options;
    this.#parts = parts;
    this.#receiveMaximum = options.receiveMaximum ?? LIMITS.brokerInFlight;
    this.#link = this.#linkOf(options.sessionMs ?? LIMITS.brokerSessionMs, {
      connected: (connection, terms) => this.#connected(connection, terms),
      packet: (packet) => this.#take(packet),
      oversized: (messageId) => this.#takeOversized(messageId),
      drained: () => undefined,
      disconnected: () => this.#disconnected(),
    });
  }

  get status(): BrokerStatus {
    const { status } = this.#link;
    const subscribed = this.#subscribed && this.#farewell === undefined;
    return status.state === 'Connected' ? { state: 'Connected', subscribed } : status;
  }

  get unacknowledged(): number {
    return this.#held.size;
  }

  get refused(): number {
    return this.#refused;
  }

  async start(receive: (message: InboundMessage) => void): Promise<void> {
    if (this.status.state === 'Closed') throw this.#closedError();
    const { topics, share } = this.#options.subscription;
    if (topics.length === 0) throw new TributaryError('INVALID_ARGUMENT', 'topics: name one at least');
    for (const topic of topics) requireFilter(topic, share);
    this.#receive = receive;
    await new Promise<void>((resolve, reject) => {
      this.#started = { resolve, reject };
      this.#link.start();
    });
  }

  pause(): void {
    this.#paused = true;
    this.#regulate();
  }

  resume(): void {
    this.#paused = false;
    this.#regulate();
  }

  leave(): Promise<void> {
    this.#leaving ??= new Promise<void>((resolve, reject) => {
      if (this.status.state === 'Closed') throw this.#closedError();
      const { broker, subscription } = this.#options;
      this.#left = { resolve, reject };
      this.#farewell = new Farewell({
        broker: broker.name,
        subscription,
        clock: this.#parts.clock,
        idle: () => this.#held.size === 0 && this.#waiting.length === 0,
        reading: () => this.#reading,
        emptied: () => {
          this.#endSession().then(resolve, reject);
        },
      });
      if (this.#connection !== undefined) this.#farewell.begin(this.#connection);
      else this.#link.start();
    });
    return this.#leaving;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#link.close();
    this.#started?.reject(this.#closedError());
    this.#left?.reject(this.#closedError());
  }

  /** MQTT 3.1.1 ends a session only by a connection that begins without one (OASIS MQTT 3.1.1, 3.1.2.4). */
  async #endSession(): Promise<void> {
    this.#farewell?.interrupt();
    const isNew = this.#options.broker.protocol === 'V5';
    await this.#link.close(isNew ? DISCONNECT_FOR_GOOD : undefined);
    this.#started?.reject(this.#closedError());
    if (isNew || this.#closed) return;
    await new Promise<void>((resolve) => {
      this.#link = this.#linkOf(0, {
        connected: () => resolve(),
        packet: () => undefined,
        oversized: () => undefined,
        drained: () => undefined,
        disconnected: () => undefined,
      });
      this.#link.start();
    });
    await this.#link.close();
  }

  #linkOf(sessionMs: number, handler: LinkHandler): BrokerLink {
    const { broker, clientId, will } = this.#options;
    const introduction = {
      clientId,
      sessionMs,
      keepAliveMs: LIMITS.keepaliveTimeMs,
      receiveMaximum: this.#receiveMaximum,
      maximumPacketSize: LIMITS.brokerPacketBytes,
      will,
    };
    return new BrokerLink(broker, introduction, handler, this.#parts);
  }

  #connected(connection: BrokerConnection, terms: BrokerTerms): void {
    this.#connection = connection;
    this.#regulate();
    if (this.#farewell !== undefined) this.#farewell.begin(connection);
    else if (terms.sessionPresent && this.#known) this.#subscribed = true;
    else {
      connection.write(connection.codec.subscribe(SUBSCRIBE_ID, this.#options.subscription));
      this.#awaitGrant();
    }
  }

  #awaitGrant(): void {
    const { clock } = this.#parts;
    this.#cancelDeadline = clock.at(clock.now() + LIMITS.unaryDeadlineMs, () => {
      // Where nothing is read the answer may have come.
      if (this.#reading) this.#fail(unanswered(this.#options.broker.name, 'the subscription'));
    });
  }

  #disconnected(): void {
    this.#cancelDeadline();
    this.#farewell?.interrupt();
    this.#connection = undefined;
    this.#subscribed = false;
    this.#waiting = [];
    this.#held = new Set();
    this.#reading = true;
  }

  #take(packet: Packet): void {
    if (packet.cmd === 'publish') this.#arrived(packet);
    else if (packet.cmd === 'suback') this.#granted(packet);
    else if (packet.cmd === 'unsuback') this.#farewell?.answered(packet);
    else this.#fail(new TributaryError('INVALID_ARGUMENT', `the broker sent an unexpected ${packet.cmd}`));
  }

  #granted({ granted }: ISubackPacket): void {
    this.#cancelDeadline();
    const { broker, subscription } = this.#options;
    const codes = granted.map(Number);
    const refusal = codes.find(isRefusal);
    if (refusal !== undefined) {
      this.#fail(refusedBy(broker.name, 'the subscription', refusal));
    } else if (codes.some((qos) => qos < subscription.qos)) {
      this.#fail(
        new TributaryError('CONFIG_INVALID', `broker ${broker.name} grants the subscription QoS 0 only`),
      );
    } else {
      this.#known = true;
      this.#subscribed = true;
      this.#started?.resolve();
      this.#started = undefined;
    }
  }

  #arrived(packet: IPublishPacket): void {
    this.#farewell?.stir();
    if (packet.qos === 2 || packet.topic === '')
      this.#fail(
        new TributaryError('INVALID_ARGUMENT', 'the broker sent a QoS or topic alias not asked for'),
      );
    else if (this.#mustStop || this.#waiting.length > 0) this.#waiting.push(packet);
    else this.#deliver(packet);
  }

  #deliver(packet: IPublishPacket): void {
    const connection = this.#connection;
    const id = packet.qos === 1 ? packet.messageId : undefined;
    if (id !== undefined) this.#held.add(id);
    this.#regulate();
    let open = id !== undefined;
    this.#receive?.({
      topic: packet.topic,
      payload: bytesOf(packet),
      qos: packet.qos === 0 ? 0 : 1,
      retain: packet.retain,
      properties: propertiesOf(packet),
      arrivalMs: this.#parts.clock.now(),
      redelivered: packet.dup || packet.retain,
      acknowledge: () => {
        if (open && id !== undefined) this.#acknowledge(connection, id);
        open = false;
      },
    });
  }

  /** Identifiers are used again: after their PUBACK, and on the next connection for other messages. */
  #acknowledge(connection: BrokerConnection | undefined, id: number): void {
    if (connection === undefined || connection !== this.#connection) return;
    this.#held.delete(id);
    connection.acknowledge(id);
    this.#regulate();
  }

  /** In a turn of its own: nobody who acknowledges or resumes expects a message meanwhile. */
  #drainSoon(): void {
    if (this.#draining) return;
    this.#draining = true;
    process.nextTick(() => {
      this.#draining = false;
      while (!this.#mustStop) {
        const packet = this.#waiting.shift();
        if (packet === undefined) break;
        this.#deliver(packet);
      }
      this.#regulate();
    });
  }

  #takeOversized(messageId: number | undefined): void {
    this.#refused += 1;
    this.#farewell?.stir();
    this.#parts.log.warn(
      { broker: this.#options.broker.name, refused: this.#refused },
      'a message over the limit was refused',
    );
    if (messageId !== undefined) this.#connection?.acknowledge(messageId);
  }

  /** A broker of MQTT 3.1.1 knows no maximum: what it sends beyond stays in the connection. */
  get #mustStop(): boolean {
    return this.#paused || this.#held.size >= this.#receiveMaximum;
  }

  #regulate(): void {
    const reading = !this.#mustStop && this.#waiting.length === 0;
    if (!this.#mustStop && !reading) this.#drainSoon();
    if (reading === this.#reading || this.#connection === undefined) return;
    this.#reading = reading;
    if (reading) this.#connection.resume();
    else this.#connection.pause();
  }

  #closedError(): TributaryError {
    const { name } = this.#options.broker;
    return new TributaryError('SHUTTING_DOWN', `broker ${name}: the source was closed`);
  }

  #fail(error: TributaryError): void {
    this.#connection?.fail(error);
  }
}

/** A copy: the packet is a view of what was read together with it. */
const bytesOf = ({ payload }: IPublishPacket): Uint8Array =>
  typeof payload === 'string' ? new TextEncoder().encode(payload) : new Uint8Array(payload);

const NO_PROPERTIES: Readonly<Record<string, string>> = Object.freeze({});

function propertiesOf({ properties }: IPublishPacket): Readonly<Record<string, string>> {
  if (properties?.userProperties === undefined) return NO_PROPERTIES;
  const entries = Object.entries(properties.userProperties);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value === 'string' ? value : (value[0] ?? '')]),
  );
}
