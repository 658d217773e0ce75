import type { Socket } from 'node:net';

import { LIMITS, TributaryError } from '@tributary/proto';
import type { IConnackPacket, Packet } from 'mqtt-packet';

import type { BrokerConfig } from '../../broker-config.js';
import type { Clock } from '../../ports.js';
import { faultText, unreachable } from './broker-socket.js';
import { FrameReader } from './frame-reader.js';
import { DISCONNECT, PINGREQ, PacketCodec, publishHead, pubacks, type Introduction } from './packets.js';
import { refusedBy } from './reason-codes.js';

/** What the broker said about itself when it accepted the connection (OASIS MQTT 5.0, 3.2.2.3). */
export interface BrokerTerms {
  /** It kept the subscriptions and messages of an earlier connection. */
  readonly sessionPresent: boolean;
  /** Publications that may wait for their PUBACK. */
  readonly receiveMaximum: number;
  readonly maximumPacketSize: number;
  readonly maximumQos: number;
  readonly retain: boolean;
}

export interface ConnectionHandler {
  opened(terms: BrokerTerms): void;
  packet(packet: Packet): void;
  /** A PUBLISH that was too large to be received, with its packet identifier where it has one. */
  oversized(messageId: number | undefined): void;
  /** What was written has left; after a write that returned false. */
  drained(): void;
  /** Once, also where the connection was never opened. */
  closed(error: TributaryError): void;
}

export interface ConnectionParts {
  readonly broker: BrokerConfig;
  readonly clock: Clock;
  readonly introduction: Introduction;
  readonly handler: ConnectionHandler;
}

/** One connection to a broker, from CONNECT to its end; opened again by nobody. */
export class BrokerConnection {
  readonly codec: PacketCodec;
  /** Resolves when nothing is left of it. */
  readonly ended: Promise<void>;
  readonly #parts: ConnectionParts;
  readonly #socket: Socket;
  readonly #frames = new FrameReader(LIMITS.brokerPacketBytes);
  #acknowledgements: number[] = [];
  #cancelTimer: () => void;
  #heard = true;
  #opened = false;
  #closed = false;

  constructor(socket: Socket, parts: ConnectionParts) {
    this.#parts = parts;
    this.#socket = socket;
    this.codec = new PacketCodec(parts.broker.protocol);
    this.ended = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => parts.handler.drained());
    socket.on('error', (cause) => this.fail(unreachable(parts.broker, faultText(cause), cause)));
    socket.on('close', () => this.fail(unreachable(parts.broker, 'the connection was closed')));
    this.#cancelTimer = this.#after(LIMITS.handshakeMs, () =>
      this.fail(unreachable(parts.broker, 'it does not answer')),
    );
    this.write(this.codec.connect(parts.introduction));
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Returns false where the caller should wait for drained(). Packets of one turn leave together. */
  write(packet: Buffer): boolean {
    if (this.#closed) return false;
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      process.nextTick(() => this.#socket.uncork());
    }
    return this.#socket.write(packet);
  }

  /** Sends a PUBACK with the next turn. */
  acknowledge(messageId: number): void {
    if (this.#closed) return;
    if (this.#acknowledgements.push(messageId) === 1) process.nextTick(() => this.#flush());
  }

  /** Reads nothing more; the broker learns of it when the buffers between are full. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    // What came while nothing was read has not been heard yet.
    this.#heard = true;
    this.#socket.resume();
  }

  /** Takes leave: the broker publishes no last will. */
  end(goodbye: Buffer = DISCONNECT): void {
    if (this.#closed) return;
    this.#flush();
    this.write(goodbye);
    this.fail(new TributaryError('SHUTTING_DOWN', `broker ${this.#parts.broker.name}: closed`), () => {
      const socket = this.#socket;
      // Bytes that nobody reads would turn the end into a reset, which may overtake what was written.
      socket.resume().end();
      socket.setTimeout(LIMITS.brokerGoodbyeMs, () => socket.destroy());
    });
  }

  /** Ends the connection because of `error`. */
  fail(error: TributaryError, end = (): unknown => this.#socket.destroy()): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer();
    end();
    this.#parts.handler.closed(error);
  }

  #flush(): void {
    const ids = this.#acknowledgements;
    if (ids.length === 0) return;
    this.#acknowledgements = [];
    this.write(pubacks(ids));
  }

  #read(chunk: Buffer): void {
    this.#heard = true;
    if (this.#closed) return;
    try {
      this.#frames.read(chunk, {
        frame: (frame) => this.#take(this.codec.decode(frame)),
        oversized: (head) => this.#takeOversized(head),
      });
    } catch (error) {
      this.fail(TributaryError.from(error));
    }
  }

  #take(packet: Packet): void {
    if (this.#closed) return;
    if (!this.#opened) this.#open(packet);
    else if (packet.cmd === 'disconnect')
      this.fail(refusedBy(this.#parts.broker.name, 'to go on', packet.reasonCode ?? 0x80));
    else if (packet.cmd !== 'pingresp') this.#parts.handler.packet(packet);
  }

  #takeOversized(head: Buffer): void {
    const publish = publishHead(head);
    if (publish === undefined || !this.#opened)
      throw new TributaryError('LIMIT_EXCEEDED', 'the broker sent a packet over LIMITS.brokerPacketBytes');
    this.#parts.handler.oversized(publish.messageId);
  }

  #open(packet: Packet): void {
    if (packet.cmd !== 'connack')
      throw new TributaryError('INVALID_ARGUMENT', 'the broker did not answer with CONNACK');
    const { broker, introduction } = this.#parts;
    const code = broker.protocol === 'V5' ? packet.reasonCode : packet.returnCode;
    if (code !== 0) {
      this.fail(refusedBy(broker.name, 'the connection', code ?? 0x80));
      return;
    }
    this.#opened = true;
    this.#cancelTimer();
    this.#keepAlive(pingIntervalOf(packet, introduction.keepAliveMs));
    this.#parts.handler.opened(termsOf(packet));
  }

  /** Pings, and gives up where nothing at all is heard until the next ping, unless nobody is reading. */
  #keepAlive(intervalMs: number): void {
    this.#cancelTimer = this.#after(intervalMs, () => {
      if (!this.#heard && !this.#socket.isPaused()) {
        this.fail(unreachable(this.#parts.broker, 'it does not answer'));
        return;
      }
      this.#heard = false;
      this.write(PINGREQ);
      this.#keepAlive(intervalMs);
    });
  }

  #after(ms: number, action: () => void): () => void {
    const { clock } = this.#parts;
    return clock.at(clock.now() + ms, () => {
      if (!this.#closed) action();
    });
  }
}

/** Half of the silence that was agreed on, ms: a ping that leaves late still comes in time. */
function pingIntervalOf({ properties }: IConnackPacket, askedMs: number): number {
  const agreedMs = (properties?.serverKeepAlive ?? 0) * 1000;
  return (agreedMs === 0 ? askedMs : agreedMs) / 2;
}

function termsOf({ sessionPresent, properties = {} }: IConnackPacket): BrokerTerms {
  return {
    sessionPresent,
    receiveMaximum: properties.receiveMaximum ?? 0xffff,
    maximumPacketSize: properties.maximumPacketSize ?? Infinity,
    maximumQos: properties.maximumQoS ?? 2,
    retain: properties.retainAvailable ?? true,
  };
}
