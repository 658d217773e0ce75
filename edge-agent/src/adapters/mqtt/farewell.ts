import { LIMITS, type TributaryError } from '@tributary/proto';
import type { IUnsubackPacket } from 'mqtt-packet';

import type { Clock } from '../../ports.js';
import type { Subscription } from '../../streams-ports.js';
import type { BrokerConnection } from './broker-connection.js';
import { isRefusal, refusedBy, unanswered } from './reason-codes.js';

export interface FarewellParts {
  readonly broker: string;
  readonly subscription: Subscription;
  readonly clock: Clock;
  /** Nothing that was read waits to be delivered or acknowledged. */
  readonly idle: () => boolean;
  readonly reading: () => boolean;
  /** The broker has nothing more for the session, and puts nothing into it. */
  readonly emptied: () => void;
}

/**
 * Empties the session of a source. What a broker has put into it before the UNSUBSCRIBE it may go on delivering (OASIS MQTT
 * 5.0, 3.10.4), and tells nobody when that was all. So the UNSUBSCRIBE is repeated: it has seen every PUBACK before it, and
 * an UNSUBACK before which nothing came says that nothing is left.
 */
export class Farewell {
  readonly #parts: FarewellParts;
  #connection: BrokerConnection | undefined;
  #lastId = 1;
  #stirred = true;
  #cancel: () => void = () => undefined;

  constructor(parts: FarewellParts) {
    this.#parts = parts;
  }

  /** Begins on a connection, for each anew: nobody knows what the one before has brought about. */
  begin(connection: BrokerConnection): void {
    this.#connection = connection;
    this.#stirred = true;
    this.#ask();
  }

  /** Something was delivered. */
  stir(): void {
    this.#stirred = true;
  }

  interrupt(): void {
    this.#cancel();
    this.#connection = undefined;
  }

  answered({ messageId, granted = [] }: IUnsubackPacket): void {
    if (messageId !== this.#lastId) return;
    this.#cancel();
    const { broker, idle, emptied } = this.#parts;
    const refusal = granted.map(Number).find(isRefusal);
    const over = !this.#stirred && idle();
    this.#stirred = false;
    if (refusal !== undefined) this.#fail(refusedBy(broker, 'the end of the subscription', refusal));
    else if (over) emptied();
    else this.#askLater();
  }

  #askLater(): void {
    const { clock, idle } = this.#parts;
    this.#cancel = clock.at(clock.now() + LIMITS.brokerQuietMs, () => {
      if (idle()) this.#ask();
      else this.#askLater();
    });
  }

  #ask(): void {
    const { broker, subscription, clock, reading } = this.#parts;
    this.#lastId = (this.#lastId % 0xffff) + 1;
    this.#connection?.write(this.#connection.codec.unsubscribe(this.#lastId, subscription));
    this.#cancel = clock.at(clock.now() + LIMITS.unaryDeadlineMs, () => {
      // Where nothing is read the answer may have come.
      if (reading()) this.#fail(unanswered(broker, 'the end of the subscription'));
    });
  }

  #fail(error: TributaryError): void {
    this.#connection?.fail(error);
  }
}
