import type { TributaryError } from '@tributary/proto';

/** MQTT's quality of service: 0 is at most once, 1 at least once. */
export type QualityOfService = 0 | 1;

/** A message that a broker delivered. */
export interface InboundMessage {
  readonly topic: string;
  /** The receiver's own bytes. */
  readonly payload: Uint8Array;
  readonly qos: QualityOfService;
  /** The broker had stored it before the subscription. */
  readonly retain: boolean;
  /** User properties of MQTT 5, of a repeated name the first; empty with MQTT 3.1.1. */
  readonly properties: Readonly<Record<string, string>>;
  /** Clock of the site when it arrived, ms since 1970. */
  readonly arrivalMs: number;
  /** It may have been delivered before: the broker says so, or it is a retained message. */
  readonly redelivered: boolean;
  /**
   * Tells the broker that the message is done with. May come at any time and in any order; more than once, after a
   * reconnection (the broker delivers the message again) or after close() it does nothing. Does nothing with QoS 0.
   */
  acknowledge(): void;
}

/** What a source receives. */
export interface Subscription {
  /** Topic filters (OASIS MQTT 5.0, 4.7), one at least. */
  readonly topics: readonly string[];
  readonly qos: QualityOfService;
  /** Receivers that name the same group divide the messages among them. */
  readonly share?: string;
}

/** Where the connection to a broker stands. */
export type BrokerStatus =
  | { readonly state: 'Idle' | 'Connecting' | 'Closed' }
  /** `subscribed`: a source has its subscriptions; a sink needs none. */
  | { readonly state: 'Connected'; readonly subscribed: boolean }
  /** Tried again after a wait with jitter, for ever. */
  | { readonly state: 'Waiting'; readonly error: TributaryError };

/** What one subscription delivers, across reconnections. */
export interface MessageSource {
  readonly status: BrokerStatus;
  /** Messages delivered with QoS 1 and not acknowledged. */
  readonly unacknowledged: number;
  /**
   * Messages too large to receive (LIMITS.brokerPacketBytes): counted, and acknowledged unseen, lest the broker deliver
   * them for ever.
   */
  readonly refused: number;
  /**
   * Begins to deliver, once. `receive` must not throw. Resolves when the broker has taken the subscriptions; a broker
   * that is away or refuses is tried again until then. Rejects with SHUTTING_DOWN where close() comes first, and with
   * INVALID_ARGUMENT for what is no topic filter.
   */
  start(receive: (message: InboundMessage) => void): Promise<void>;
  /** Delivers nothing more until resume(). What arrives stays with the broker, but for one read of the connection. */
  pause(): void;
  resume(): void;
  /**
   * Ends the subscriptions, delivers what the broker has put into the session already, and once all of it is acknowledged
   * ends the session: nothing is left at the broker for this client id, and the source is closed. A broker that is away is
   * waited for. Rejects with SHUTTING_DOWN where close() comes first.
   */
  leave(): Promise<void>;
  /** Leaves what is not acknowledged, and what comes later, with the broker for the next source of this client id. */
  close(): Promise<void>;
}

export interface PublishOptions {
  readonly qos: QualityOfService;
  readonly retain?: boolean;
  /** User properties; not sent with MQTT 3.1.1. */
  readonly properties?: Readonly<Record<string, string>>;
}

/** Publishes at a broker, across reconnections. */
export interface MessageSink {
  readonly status: BrokerStatus;
  /** Messages that the broker does not have yet. */
  readonly queued: number;
  /**
   * Resolves when the broker has the message (QoS 1), or when it is handed to a connection (QoS 0). While the broker is
   * away it waits in a bounded queue; after a reconnection the broker may get it twice. Rejects with OVERLOADED when the
   * queue is full, INVALID_ARGUMENT for a topic that is none, LIMIT_EXCEEDED where it is larger than the broker takes,
   * PERMISSION_DENIED and others where the broker refuses it, and SHUTTING_DOWN. The payload must stay as it is until then.
   */
  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void>;
  /** Waits until the broker has what was published, LIMITS.drainMs at most; the rest is rejected. */
  close(): Promise<void>;
}

/** Durable state of the keys of pipelines: what their windows and alerts stand at. */
export interface StreamStateStore {
  /** What was written last for each key of a pipeline, in any order. Rejects with SEAL_BROKEN, STORE_CORRUPT. */
  read(pipeline: string): AsyncIterable<KeyRecord>;
  /** Durable when it resolves; all or none. Rejects with STORE_FULL, STORE_CORRUPT. */
  write(pipeline: string, changes: readonly KeyRecord[]): Promise<void>;
  close(): Promise<void>;
}

export interface KeyRecord {
  readonly key: string;
  /** Absent where the key is forgotten. */
  readonly state?: Uint8Array;
}
