import type { Socket } from 'node:net';

import { LIMITS, TributaryError } from '@tributary/proto';
import type { Packet } from 'mqtt-packet';

import type { Log } from '../../app/log.js';
import { uniform } from '../../app/pause.js';
import type { BrokerConfig } from '../../broker-config.js';
import { backoffMs } from '../../domain/backoff.js';
import type { Clock, Random } from '../../ports.js';
import type { BrokerStatus } from '../../streams-ports.js';
import { BrokerConnection, type BrokerTerms } from './broker-connection.js';
import { openBrokerSocket, readSecrets } from './broker-socket.js';
import type { Introduction } from './packets.js';

export interface MqttParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export type ClientIntroduction = Omit<Introduction, 'username' | 'password'>;

type LinkStatus = Exclude<BrokerStatus, { state: 'Connected' }> | { readonly state: 'Connected' };

export interface LinkHandler {
  connected(connection: BrokerConnection, terms: BrokerTerms): void;
  packet(packet: Packet): void;
  oversized(messageId: number | undefined): void;
  drained(): void;
  disconnected(): void;
}

/** Connects to a broker again and again, with jittered waits, until it is closed. */
export class BrokerLink {
  readonly #broker: BrokerConfig;
  readonly #introduction: ClientIntroduction;
  readonly #handler: LinkHandler;
  readonly #parts: MqttParts;
  readonly #closing = new AbortController();
  #status: LinkStatus = { state: 'Idle' };
  #connection: BrokerConnection | undefined;
  #cancelRetry: () => void = () => undefined;
  #failures = 0;
  #told: string | undefined;
  #openedMs = 0;

  constructor(
    broker: BrokerConfig,
    introduction: ClientIntroduction,
    handler: LinkHandler,
    parts: MqttParts,
  ) {
    this.#broker = broker;
    this.#introduction = introduction;
    this.#handler = handler;
    this.#parts = parts;
  }

  get status(): LinkStatus {
    return this.#status;
  }

  start(): void {
    if (this.#status.state !== 'Idle') return;
    this.#connect();
  }

  /** Ends the connection in good order, and connects no more. */
  async close(goodbye?: Buffer): Promise<void> {
    this.#status = { state: 'Closed' };
    this.#cancelRetry();
    this.#closing.abort();
    const connection = this.#connection;
    connection?.end(goodbye);
    await connection?.ended;
  }

  #connect(): void {
    this.#status = { state: 'Connecting' };
    this.#dial().catch((error: unknown) => this.#lost(TributaryError.from(error)));
  }

  async #dial(): Promise<void> {
    const secrets = await readSecrets(this.#broker);
    const socket = await openBrokerSocket(this.#broker, secrets, this.#closing.signal);
    if (this.#closing.signal.aborted) socket.destroy();
    else this.#connection = this.#converse(socket, secrets.password);
  }

  #converse(socket: Socket, password: Buffer | undefined): BrokerConnection {
    const { username } = this.#broker;
    const connection: BrokerConnection = new BrokerConnection(socket, {
      broker: this.#broker,
      clock: this.#parts.clock,
      introduction: { ...this.#introduction, username, password },
      handler: {
        opened: (terms) => this.#opened(connection, terms),
        packet: (packet) => this.#handler.packet(packet),
        oversized: (messageId) => this.#handler.oversized(messageId),
        drained: () => this.#handler.drained(),
        closed: (error) => this.#lost(error),
      },
    });
    return connection;
  }

  #opened(connection: BrokerConnection, terms: BrokerTerms): void {
    this.#status = { state: 'Connected' };
    this.#told = undefined;
    this.#openedMs = this.#parts.clock.now();
    const { sessionPresent } = terms;
    const { clientId } = this.#introduction;
    this.#parts.log.info({ broker: this.#broker.name, clientId, sessionPresent }, 'broker connected');
    this.#handler.connected(connection, terms);
  }

  #lost(error: TributaryError): void {
    const wasConnected = this.#status.state === 'Connected';
    this.#connection = undefined;
    if (this.#status.state === 'Closed') {
      this.#handler.disconnected();
      return;
    }
    const { clock, random, log } = this.#parts;
    if (wasConnected && clock.now() - this.#openedMs >= LIMITS.brokerGoodMs) this.#failures = 0;
    const waitMs = backoffMs(this.#failures, uniform(random));
    this.#failures += 1;
    this.#status = { state: 'Waiting', error };
    const fields = { broker: this.#broker.name, code: error.code, reason: error.message, waitMs };
    // An outage is told once, not every few seconds.
    if (wasConnected || error.code !== this.#told) log.warn(fields, 'broker connection lost or refused');
    else log.debug(fields, 'broker connection refused again');
    this.#told = error.code;
    if (wasConnected) this.#handler.disconnected();
    this.#cancelRetry = clock.at(clock.now() + waitMs, () => this.#connect());
  }
}
