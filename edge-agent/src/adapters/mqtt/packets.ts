import { TributaryError } from '@tributary/proto';
import { generate, parser, type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet';

import type { BrokerConfig } from '../../broker-config.js';
import type { QualityOfService, Subscription } from '../../streams-ports.js';
import { wireFilter } from './topics.js';

/** Published by the broker when the connection ends without a word. */
export interface LastWill {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QualityOfService;
  readonly retain: boolean;
}

/** How a client introduces itself. */
export interface Introduction {
  readonly clientId: string;
  /** ms for which the broker keeps subscriptions and messages of an absent client; 0: not at all. MQTT 3.1.1: for ever. */
  readonly sessionMs: number;
  readonly keepAliveMs: number;
  /** Unacknowledged messages that the client takes, and bytes of a packet; MQTT 3.1.1 cannot say. */
  readonly receiveMaximum: number;
  readonly maximumPacketSize: number;
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
  readonly will: LastWill | undefined;
}

export interface Publication {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QualityOfService;
  readonly retain: boolean;
  readonly properties: Readonly<Record<string, string>>;
}

/** Reads and writes control packets of one version of MQTT: the only code that knows mqtt-packet. */
export class PacketCodec {
  readonly #options: { readonly protocolVersion: 4 | 5 };
  readonly #parser: ReturnType<typeof parser>;
  #decoded: Packet | undefined;
  #fault: unknown;

  constructor(protocol: BrokerConfig['protocol']) {
    this.#options = { protocolVersion: protocol === 'V5' ? 5 : 4 };
    this.#parser = parser(this.#options);
    this.#parser.on('packet', (packet) => (this.#decoded = packet));
    this.#parser.on('error', (error: unknown) => (this.#fault = error));
  }

  /** Throws INVALID_ARGUMENT for what is no packet. */
  decode(frame: Buffer): Packet {
    this.#decoded = undefined;
    this.#fault = undefined;
    this.#parser.parse(frame);
    const packet: Packet | undefined = this.#decoded;
    if (packet !== undefined && this.#fault === undefined) return packet;
    throw new TributaryError('INVALID_ARGUMENT', 'the broker sent a packet that cannot be read', {
      cause: this.#fault,
    });
  }

  connect(introduction: Introduction): Buffer {
    const { clientId, sessionMs, keepAliveMs, username, password, will } = introduction;
    const packet: IConnectPacket = {
      cmd: 'connect',
      protocolId: 'MQTT',
      ...this.#options,
      clientId,
      clean: sessionMs === 0,
      keepalive: Math.round(keepAliveMs / 1000),
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      ...(will && { will: { ...will, payload: view(will.payload) } }),
      ...(this.#isNew && {
        properties: {
          sessionExpiryInterval: Math.round(sessionMs / 1000),
          receiveMaximum: introduction.receiveMaximum,
          maximumPacketSize: introduction.maximumPacketSize,
        },
      }),
    };
    return generate(packet, this.#options);
  }

  subscribe(messageId: number, { topics, qos, share }: Subscription): Buffer {
    // Retained messages only where the subscription is new: a reconnection delivers nothing twice.
    const retainedWhenNew = this.#isNew ? { nl: false, rap: false, rh: 1 } : {};
    const subscriptions = topics.map((topic) => ({
      topic: wireFilter(topic, share),
      qos,
      ...retainedWhenNew,
    }));
    return generate({ cmd: 'subscribe', messageId, subscriptions }, this.#options);
  }

  unsubscribe(messageId: number, { topics, share }: Subscription): Buffer {
    const unsubscriptions = topics.map((topic) => wireFilter(topic, share));
    return generate({ cmd: 'unsubscribe', messageId, unsubscriptions }, this.#options);
  }

  publish(messageId: number | undefined, { payload, properties, ...rest }: Publication): Buffer {
    const packet: IPublishPacket = {
      cmd: 'publish',
      dup: false,
      ...rest,
      payload: view(payload),
      ...(messageId !== undefined && { messageId }),
      ...(this.#isNew && hasMembers(properties) && { properties: { userProperties: { ...properties } } }),
    };
    return generate(packet, this.#options);
  }

  get #isNew(): boolean {
    return this.#options.protocolVersion === 5;
  }
}

/** PUBACKs without reason, one after the other: the same bytes in both versions (OASIS MQTT 5.0, 3.4). */
export function pubacks(messageIds: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * messageIds.length);
  for (const [index, id] of messageIds.entries()) {
    bytes.writeUInt16BE(0x4002, 4 * index);
    bytes.writeUInt16BE(id, 4 * index + 2);
  }
  return bytes;
}

export const PINGREQ = Buffer.from([0xc0, 0]);
export const DISCONNECT = Buffer.from([0xe0, 0]);
/** Of MQTT 5, with a session expiry interval of 0: the session ends with the connection. */
export const DISCONNECT_FOR_GOOD = Buffer.from([0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]);

/** What the first bytes of a PUBLISH say; undefined for another packet. */
export function publishHead(head: Buffer): { readonly messageId: number | undefined } | undefined {
  const first = head.readUInt8(0);
  if (first >> 4 !== 3) return undefined;
  const begin = head.subarray(1, 5).findIndex((byte) => byte < 0x80) + 2;
  const end = begin + 2 + head.readUInt16BE(begin);
  return { messageId: (first & 0x06) === 0 ? undefined : head.readUInt16BE(end) };
}

const view = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

function hasMembers(record: Readonly<Record<string, string>>): boolean {
  for (const name in record) if (Object.hasOwn(record, name)) return true;
  return false;
}
