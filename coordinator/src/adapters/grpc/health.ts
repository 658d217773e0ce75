import { LIMITS } from '@tributary/proto';
import { HealthImplementation } from 'grpc-health-check';

import { startListener, type Listener } from './listener.js';

/** Services whose state probes may ask for; '' is the daemon as a whole. */
const SERVICES = [
  '',
  'tributary.v1.Fleet',
  'tributary.v1.Enrolment',
  'tributary.v1.Admin',
  'tributary.v1.Ledger',
];

export interface HealthListener extends Listener {
  /** NOT_SERVING until called with true, and again as soon as the daemon begins to stop. */
  setServing(serving: boolean): void;
}

/** grpc.health.v1 in plaintext, and nothing else: probes of a kubelet have no certificates. */
export async function startHealth(host: string, port: number): Promise<HealthListener> {
  const health = new HealthImplementation(
    Object.fromEntries(SERVICES.map((service) => [service, 'NOT_SERVING'])),
  );
  const listener = await startListener({
    name: 'health',
    at: { host, port },
    security: { type: 'Plaintext' },
    maxConnections: LIMITS.probeConnections,
    messageBytes: LIMITS.anonymousMessageBytes,
    streams: LIMITS.streamsPerAnonymousConnection,
    register: (server) => {
      health.addToServer(server);
    },
  });
  return {
    port: listener.port,
    // Watching probes never leave by themselves.
    close: () => listener.close(0),
    setServing: (serving) => {
      for (const service of SERVICES) health.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING');
    },
  };
}
