import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { LIMITS, TributaryError } from '@tributary/proto';
import { limitStrangers, serverOptions } from '@tributary/proto/grpc';
import { HealthImplementation } from 'grpc-health-check';

import { formatAddress } from '../../domain/address.js';

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * grpc.health.v1 in plaintext, and nothing else: probes have no certificates. SERVING until `stopping` is
 * aborted, with or without a coordinator: a site answers predictions on its own. Rejects with CONFIG_INVALID where the
 * port is taken; 0 lets the system choose.
 */
export async function serveHealth(host: string, port: number, stopping: AbortSignal): Promise<HealthServer> {
  setLogVerbosity(logVerbosity.NONE);
  const health = new HealthImplementation({ '': stopping.aborted ? 'NOT_SERVING' : 'SERVING' });
  const server = new Server(
    serverOptions({
      'grpc.max_receive_message_length': LIMITS.anonymousMessageBytes,
      'grpc.max_concurrent_streams': LIMITS.streamsPerAnonymousConnection,
    }),
  );
  health.addToServer(server);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(formatAddress({ host, port }), ServerCredentials.createInsecure(), (cause, actual) => {
      if (cause === null) resolve(actual);
      else reject(new TributaryError('CONFIG_INVALID', `healthPort: ${cause.message}`, { cause }));
    });
  });
  limitStrangers(server, LIMITS.probeConnections);
  const drain = (): void => health.setStatus('', 'NOT_SERVING');
  stopping.addEventListener('abort', drain, { once: true });
  return {
    port: bound,
    close: () => {
      stopping.removeEventListener('abort', drain);
      return new Promise((resolve) => {
        // Watching probes never leave by themselves, and a connection in the middle of a frame not even when it is told.
        const timer = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, LIMITS.probeLeaveMs);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
  };
}
