import { messageBrokerSuite } from '../contract/message-broker.js';
import { AedesBroker } from '../support/aedes-broker.js';
import { localBroker, mqttEnds } from '../support/mqtt-ends.js';

messageBrokerSuite({
  name: 'MQTT 3.1.1 with aedes',
  userProperties: false,
  // aedes takes such a subscription and delivers nothing.
  sharedSubscriptions: false,
  marksRedelivery: false,
  factory: async () => {
    const broker = await AedesBroker.start();
    return {
      ...mqttEnds(localBroker(broker.port, 'V3')),
      leave: () => broker.leave(),
      comeBack: () => broker.comeBack(),
      dispose: () => broker.stop(),
    };
  },
});
