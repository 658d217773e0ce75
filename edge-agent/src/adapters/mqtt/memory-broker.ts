import { LIMITS, TributaryError } from '@tributary/proto';

import type { Clock } from '../../ports.js';
import type {
  BrokerStatus,
  InboundMessage,
  MessageSink,
  MessageSource,
  PublishOptions,
  Subscription,
} from '../../streams-ports.js';
import { matchesFilter, requireFilter, requireTopic } from './topics.js';

type Publication = Pick<InboundMessage, 'topic' | 'payload' | 'qos' | 'retain' | 'properties'>;

interface Queued {
  readonly publication: Publication;
  delivered: boolean;
}

/** What the broker keeps for a client id. */
interface Session {
  readonly subscription: Subscription;
  /** Not acknowledged yet, in order of arrival. */
  readonly queue: Set<Queued>;
  source: MemorySource | undefined;
  /** It takes nothing more, and ends when nothing is left. */
  leaving: boolean;
}

/** For tests: the promises of a broker, its sources and its sinks without a network. Delivers in later turns. */
export class MemoryBroker {
  readonly clock: Clock;
  readonly #sessions = new Map<string, Session>();
  readonly #retained = new Map<string, Publication>();
  readonly #sinks = new Set<MemorySink>();
  #turn = 0;
  #available = true;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get available(): boolean {
    return this.#available;
  }

  source(clientId: string, subscription: Subscription, receiveMaximum?: number): MessageSource {
    return new MemorySource(this, clientId, subscription, receiveMaximum ?? LIMITS.brokerInFlight);
  }

  sink(maximumMessages?: number): MessageSink {
    const sink = new MemorySink(this, maximumMessages ?? LIMITS.sinkMessages);
    this.#sinks.add(sink);
    return sink;
  }

  /** Cuts every connection. While it is away sinks queue; when it is back sources get again what is not acknowledged. */
  leave(): void {
    this.#available = false;
    for (const { source } of this.#sessions.values()) source?.lose();
  }

  comeBack(): void {
    this.#available = true;
    for (const [clientId, session] of this.#sessions) {
      this.#connect(session);
      this.#endEmpty(clientId, session);
    }
    for (const sink of this.#sinks) sink.flush();
  }

  attach(clientId: string, subscription: Subscription, source: MemorySource): void {
    const known = this.#sessions.get(clientId);
    const session = { subscription, queue: known?.queue ?? new Set<Queued>(), source, leaving: false };
    this.#sessions.set(clientId, session);
    if (known === undefined && subscription.share === undefined) {
      for (const publication of this.#retained.values())
        if (matches(subscription, publication.topic)) session.queue.add({ publication, delivered: false });
    }
    this.#connect(session);
  }

  detach(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (session !== undefined) session.source = undefined;
  }

  unsubscribe(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (session === undefined) return;
    session.leaving = true;
    this.#endEmpty(clientId, session);
  }

  publish(publication: Publication): void {
    const { topic, payload, retain } = publication;
    if (retain && payload.length === 0) this.#retained.delete(topic);
    else if (retain) this.#retained.set(topic, publication);
    for (const session of this.#receivers(topic)) {
      const qos = publication.qos === 1 && session.subscription.qos === 1 ? 1 : 0;
      if (qos === 0 && session.source === undefined) continue;
      const entry = { publication: { ...publication, qos, retain: false } as const, delivered: false };
      session.queue.add(entry);
      session.source?.offer(entry);
    }
  }

  /** Messages that it keeps for a client id. */
  unsettled(clientId: string): number {
    return this.#sessions.get(clientId)?.queue.size ?? 0;
  }

  settle(clientId: string, entry: Queued): void {
    const session = this.#sessions.get(clientId);
    session?.queue.delete(entry);
    if (session !== undefined) this.#endEmpty(clientId, session);
  }

  #endEmpty(clientId: string, { leaving, queue, source }: Session): void {
    if (!leaving || queue.size > 0 || !this.#available) return;
    this.#sessions.delete(clientId);
    source?.ended();
  }

  #connect({ queue, source }: Session): void {
    source?.connect(queue);
  }

  /** Every session of its own; of a group, one after the other. */
  #receivers(topic: string): readonly Session[] {
    const matching = [...this.#sessions.values()].filter(
      ({ subscription, leaving }) => !leaving && matches(subscription, topic),
    );
    const groups = new Map<string, Session[]>();
    for (const session of matching) {
      const { share } = session.subscription;
      if (share !== undefined) groups.set(share, [...(groups.get(share) ?? []), session]);
    }
    this.#turn += 1;
    const chosen = [...groups.values()].flatMap((members) => {
      const online = members.filter(({ source }) => source !== undefined);
      const candidates = online.length > 0 ? online : members;
      return candidates.slice(this.#turn % candidates.length).slice(0, 1);
    });
    return [...matching.filter(({ subscription }) => subscription.share === undefined), ...chosen];
  }
}

const matches = ({ topics }: Subscription, topic: string): boolean =>
  topics.some((filter) => matchesFilter(filter, topic));

class MemorySource implements MessageSource {
  readonly refused = 0;
  readonly #broker: MemoryBroker;
  readonly #clientId: string;
  readonly #subscription: Subscription;
  readonly #receiveMaximum: number;
  #receive: ((message: InboundMessage) => void) | undefined;
  #reject: ((error: TributaryError) => void) | undefined;
  #resolve: (() => void) | undefined;
  #left: { resolve: () => void; reject: (error: TributaryError) => void } | undefined;
  #leaving: Promise<void> | undefined;
  #offered: Queued[] = [];
  #held = new Set<Queued>();
  #paused = false;
  #epoch = 0;
  #state: 'Idle' | 'Connected' | 'Waiting' | 'Closed' = 'Idle';
  #scheduled = false;

  constructor(broker: MemoryBroker, clientId: string, subscription: Subscription, receiveMaximum: number) {
    this.#broker = broker;
    this.#clientId = clientId;
    this.#subscription = subscription;
    this.#receiveMaximum = receiveMaximum;
  }

  get status(): BrokerStatus {
    if (this.#state === 'Connected') return { state: 'Connected', subscribed: true };
    if (this.#state === 'Waiting') return { state: 'Waiting', error: away() };
    return { state: this.#state };
  }

  get unacknowledged(): number {
    return this.#held.size;
  }

  async start(receive: (message: InboundMessage) => void): Promise<void> {
    const { topics, share } = this.#subscription;
    if (topics.length === 0) throw new TributaryError('INVALID_ARGUMENT', 'topics: name one at least');
    for (const topic of topics) requireFilter(topic, share);
    if (this.#state === 'Closed') throw closed();
    this.#receive = receive;
    this.#state = 'Waiting';
    await new Promise<void>((resolve, reject) => {
      [this.#resolve, this.#reject] = [resolve, reject];
      this.#broker.attach(this.#clientId, this.#subscription, this);
    });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#deliverSoon();
  }

  leave(): Promise<void> {
    this.#leaving ??= new Promise((resolve, reject) => {
      if (this.#state === 'Closed') throw closed();
      this.#left = { resolve, reject };
      this.#broker.unsubscribe(this.#clientId);
    });
    return this.#leaving;
  }

  close(): Promise<void> {
    this.lose();
    this.#state = 'Closed';
    this.#broker.detach(this.#clientId);
    this.#reject?.(closed());
    this.#left?.reject(closed());
    return Promise.resolve();
  }

  /** Nothing is left at the broker. */
  ended(): void {
    this.lose();
    this.#state = 'Closed';
    this.#reject?.(closed());
    this.#left?.resolve();
  }

  /** The broker is there, and has this for the client. */
  connect(queue: Iterable<Queued>): void {
    if (!this.#broker.available) return;
    this.#state = 'Connected';
    this.#offered = [...queue];
    this.#resolve?.();
    this.#deliverSoon();
  }

  lose(): void {
    if (this.#state === 'Connected') this.#state = 'Waiting';
    this.#epoch += 1;
    this.#offered = [];
    this.#held = new Set();
  }

  offer(entry: Queued): void {
    if (this.#state !== 'Connected') return;
    this.#offered.push(entry);
    this.#deliverSoon();
  }

  #deliverSoon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (!this.#paused && this.#held.size < this.#receiveMaximum) {
        const entry = this.#offered.shift();
        if (entry === undefined) return;
        this.#deliver(entry);
      }
    });
  }

  #deliver(entry: Queued): void {
    const { publication } = entry;
    const redelivered = entry.delivered || publication.retain;
    entry.delivered = true;
    if (publication.qos === 0) this.#broker.settle(this.#clientId, entry);
    else this.#held.add(entry);
    const epoch = this.#epoch;
    this.#receive?.({
      ...publication,
      payload: publication.payload.slice(),
      arrivalMs: this.#broker.clock.now(),
      redelivered,
      acknowledge: () => {
        if (epoch !== this.#epoch || !this.#held.delete(entry)) return;
        this.#broker.settle(this.#clientId, entry);
        this.#deliverSoon();
      },
    });
  }
}

class MemorySink implements MessageSink {
  readonly #broker: MemoryBroker;
  readonly #maximumMessages: number;
  #waiting: { publication: Publication; resolve: () => void; reject: (error: TributaryError) => void }[] = [];
  #closed = false;

  constructor(broker: MemoryBroker, maximumMessages: number) {
    this.#broker = broker;
    this.#maximumMessages = maximumMessages;
  }

  get status(): BrokerStatus {
    if (this.#closed) return { state: 'Closed' };
    return this.#broker.available
      ? { state: 'Connected', subscribed: false }
      : { state: 'Waiting', error: away() };
  }

  get queued(): number {
    return this.#waiting.length;
  }

  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      requireTopic(topic);
      if (this.#closed) throw closed();
      if (this.#waiting.length >= this.#maximumMessages)
        throw new TributaryError('OVERLOADED', `${String(this.#waiting.length)} messages wait already`);
      const { qos, retain = false, properties = {} } = options;
      const publication = { topic, payload: payload.slice(), qos, retain, properties };
      this.#waiting.push({ publication, resolve, reject });
      if (this.#broker.available) this.flush();
    });
  }

  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { publication, resolve } of waiting) {
      this.#broker.publish(publication);
      resolve();
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(closed());
    return Promise.resolve();
  }
}

const away = (): TributaryError => new TributaryError('UNAVAILABLE', 'the broker is away');
const closed = (): TributaryError => new TributaryError('SHUTTING_DOWN', 'closed');
