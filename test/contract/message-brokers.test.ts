import { MemoryBroker } from '@tributary/edge-agent/internal/adapters/mqtt/memory-broker.js';
import { systemClock } from '@tributary/edge-agent/internal/adapters/system/clock.js';

import { messageBrokerSuite } from './message-broker.js';

messageBrokerSuite({
  name: 'memory',
  userProperties: true,
  sharedSubscriptions: true,
  factory: () => {
    const broker = new MemoryBroker(systemClock);
    return Promise.resolve({
      source: ({ clientId, subscription, receiveMaximum }) =>
        broker.source(clientId, subscription, receiveMaximum),
      sink: ({ maximumMessages } = {}) => broker.sink(maximumMessages),
      leave: () => Promise.resolve(broker.leave()),
      comeBack: () => Promise.resolve(broker.comeBack()),
      dispose: () => Promise.resolve(),
    });
  },
});
