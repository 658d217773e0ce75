import { LIMITS, TributaryError } from '@tributary/proto';
import type { Packet } from 'mqtt-packet';

import type { BrokerConfig } from '../../broker-config.js';
import type { Clock } from '../../ports.js';
import { BrokerConnection } from './broker-connection.js';
import { openBrokerSocket, readSecrets } from './broker-socket.js';
import { isRefusal } from './reason-codes.js';

/** Which of some topic filters a broker let this client subscribe to. */
export interface BrokerLook {
  readonly refused: readonly string[];
}

/**
 * Connects to a broker as the agent would, but with a session that ends with the connection, asks for the topics with QoS 0,
 * and takes leave. Rejects with UNAVAILABLE, CONFIG_INVALID, or what the broker refuses for.
 */
export async function lookAtBroker(
  broker: BrokerConfig,
  clientId: string,
  topics: readonly string[],
  parts: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<BrokerLook> {
  const secrets = await readSecrets(broker);
  const socket = await openBrokerSocket(broker, secrets, parts.signal);
  return new Promise((resolve, reject) => {
    const finish = (refused: readonly string[]): void => {
      resolve({ refused });
      connection.end();
    };
    const connection: BrokerConnection = new BrokerConnection(socket, {
      broker,
      clock: parts.clock,
      introduction: {
        ...{ clientId, sessionMs: 0, keepAliveMs: LIMITS.keepaliveTimeMs, receiveMaximum: 1 },
        ...{ maximumPacketSize: LIMITS.brokerPacketBytes, username: broker.username },
        ...{ password: secrets.password, will: undefined },
      },
      handler: {
        opened: () => {
          if (topics.length === 0) finish([]);
          else connection.write(connection.codec.subscribe(1, { topics, qos: 0 }));
        },
        packet: (packet) => {
          if (packet.cmd === 'suback') finish(refusedOf(packet, topics));
        },
        oversized: () => undefined,
        drained: () => undefined,
        closed: reject,
      },
    });
    parts.signal.addEventListener(
      'abort',
      () => connection.fail(new TributaryError('DEADLINE_EXCEEDED', `broker ${broker.name} does not answer`)),
      { once: true },
    );
  });
}

function refusedOf(packet: Extract<Packet, { readonly cmd: 'suback' }>, topics: readonly string[]): string[] {
  return topics.filter((_, index) => isRefusal(Number(packet.granted[index])));
}
