import { MqttSink } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '@tributary/edge-agent/internal/adapters/mqtt/mqtt-source.js';

import { localBroker, mqttParts } from '../support/mqtt-ends.js';

/*
 * The least that an agent could do with a stream: parse each record, publish a result, and acknowledge the record when
 * the broker has it. Arguments: port, V3 or V5, topic of the records, topic of the results. Runs until it is ended.
 */
const [port = '', protocol = '', records = '', results = ''] = process.argv.slice(2);
const broker = localBroker(Number(port), protocol === 'V3' ? 'V3' : 'V5');
const sink = new MqttSink({ broker, clientId: 'bench-echo-out' }, mqttParts);
const source = new MqttSource(
  { broker, clientId: 'bench-echo-in', subscription: { topics: [records], qos: 1 } },
  mqttParts,
);
await source.start((message) => {
  const { t } = JSON.parse(Buffer.from(message.payload).toString()) as { readonly t: number };
  const result = Buffer.from(JSON.stringify({ t, score: 0.5 }));
  sink.publish(results, result, { qos: 1 }).then(
    () => message.acknowledge(),
    (error: unknown) => {
      throw error;
    },
  );
});
process.stdout.write('ready\n');
process.once('SIGTERM', () => process.exit(0));
