import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';
import { systemClock } from '@tributary/edge-agent/internal/adapters/system/clock.js';
import { systemRandom } from '@tributary/edge-agent/internal/adapters/system/random.js';
import type { BrokerConfig } from '@tributary/edge-agent/internal/broker-config.js';

import type { BrokerHarness } from '../contract/message-broker.js';

const silent = (): void => undefined;

export const mqttParts = {
  clock: systemClock,
  random: systemRandom,
  log: { debug: silent, info: silent, warn: silent, error: silent },
};

/** A broker on this machine, without TLS. */
export const localBroker = (port: number, protocol: BrokerConfig['protocol']): BrokerConfig => ({
  name: 'local',
  host: '127.0.0.1',
  port,
  tls: false,
  protocol,
});

/** The ends of a contract suite at a broker over MQTT. */
export function mqttEnds(broker: BrokerConfig): Pick<BrokerHarness, 'source' | 'sink'> {
  let sinks = 0;
  return {
    source: (options) => new MqttSource({ broker, ...options }, mqttParts),
    sink: (options) =>
      new MqttSink({ broker, clientId: `sink-${String((sinks += 1))}`, ...options }, mqttParts),
  };
}
