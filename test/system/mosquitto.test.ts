import { messageBrokerSuite } from '../contract/message-broker.js';
import { Mosquitto, mosquittoInstalled } from '../support/mosquitto.js';
import { localBroker, mqttEnds } from '../support/mqtt-ends.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

for (const protocol of ['V3', 'V5'] as const) {
  messageBrokerSuite({
    name: `MQTT ${protocol} with Mosquitto (needs mosquitto)`,
    available: mosquittoInstalled,
    userProperties: protocol === 'V5',
    sharedSubscriptions: true,
    factory: async () => {
      const folder = await temporaryDirectory();
      const broker = await Mosquitto.start(folder.path);
      return {
        ...mqttEnds(localBroker(broker.port, protocol)),
        leave: () => broker.leave(),
        comeBack: () => broker.comeBack(),
        dispose: async () => {
          await broker.leave();
          await folder.remove();
        },
      };
    },
  });
}
