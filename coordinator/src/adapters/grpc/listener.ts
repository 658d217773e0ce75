import { chmod, rm } from 'node:fs/promises';
import type { Http2Session } from 'node:http2';
import type { Server as NetServer } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';

import {
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  type ServerOptions,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { LIMITS, TributaryError } from '@tributary/proto';
import {
  limitHandshakes,
  limitStrangers,
  serverOptions,
  widenSessions,
  widenStreams,
} from '@tributary/proto/grpc';

import { formatAddress } from './address.js';
import { peerKey, peerOfCertificate } from './peer.js';
import type { Sessions } from './sessions.js';

/** Certificate and key of a TLS listener, PEM. */
export interface ServerIdentity {
  readonly certificate: string;
  readonly key: string;
  /** Clients must present a certificate of this CA. */
  readonly ca: string;
}

export type Security =
  | { readonly type: 'MutualTls'; readonly identity: ServerIdentity; readonly sessions: Sessions }
  | { readonly type: 'ServerTls'; readonly identity: ServerIdentity }
  | { readonly type: 'Plaintext' };

export interface ListenerOptions {
  /** For errors: fleet, enrol, admin, health. */
  readonly name: string;
  readonly at: { readonly host: string; readonly port: number } | { readonly socketPath: string };
  readonly security: Security;
  /**
   * Connections at the same time. Of those with a certificate, or of the socket, one too many is closed at once; without
   * one, the oldest.
   */
  readonly maxConnections: number;
  /** Milliseconds after which a connection is asked to end, so that idle ones do not keep others out; none unless given. */
  readonly connectionAgeMs?: number;
  /** Bytes of a received message, and calls at the same time of one connection: together they bound its memory. */
  readonly messageBytes?: number;
  readonly streams?: number;
  /** Adds the services. */
  readonly register: (server: Pick<Server, 'addService'>) => void;
}

/** Loosens the types of a generated definition and its handlers to those that a server takes. */
export function addService(server: Pick<Server, 'addService'>, definition: object, handlers: object): void {
  server.addService(definition as ServiceDefinition, handlers as UntypedServiceImplementation);
}

/** One port of the daemon. */
export interface Listener {
  /** 0 for a Unix socket. */
  readonly port: number;
  /** Refuses new calls, waits at most `drainMs` for running ones, then ends them. */
  close(drainMs: number): Promise<void>;
}

/** A port whose certificate may be followed by another while it is open. */
export interface TlsListener extends Listener {
  /** Presents it to connections from now on; open ones stay as they are. Throws where it is none. */
  present(identity: Pick<ServerIdentity, 'certificate' | 'key'>): void;
}

/** Rejects with CONFIG_INVALID where the address cannot be bound. */
export async function startListener(options: ListenerOptions): Promise<TlsListener> {
  // grpc-js writes to standard error by itself; what it says there reaches us as errors.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server(serverOptions(bounds(options)));
  widenStreams(server);
  limitHandshakes(server);
  options.register(server);
  const port = await bind(server, options);
  widenSessions(server);
  watchSessions(server, options);
  return {
    port,
    present: (identity) => {
      presentAnew(server, options.security, identity);
    },
    close: (drainMs) => shutDown(server, drainMs),
  };
}

function bounds({ connectionAgeMs, messageBytes, streams }: ListenerOptions): ServerOptions {
  return {
    ...(connectionAgeMs !== undefined && {
      'grpc.max_connection_age_ms': connectionAgeMs,
      'grpc.max_connection_age_grace_ms': LIMITS.unaryDeadlineMs,
    }),
    ...(messageBytes !== undefined && { 'grpc.max_receive_message_length': messageBytes }),
    ...(streams !== undefined && { 'grpc.max_concurrent_streams': streams }),
  };
}

async function bind(server: Server, options: ListenerOptions): Promise<number> {
  const { at, name } = options;
  const local = 'socketPath' in at;
  // A socket file that a killed daemon left would make the address look taken; the data directory's lock is held.
  if (local) await rm(at.socketPath, { force: true });
  const address = local ? `unix:${at.socketPath}` : formatAddress(at.host, at.port);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials(options.security), (error, bound) => {
      if (error === null) resolve(bound);
      else {
        reject(
          new TributaryError('CONFIG_INVALID', `${name}: cannot listen on ${address}`, {
            cause: error,
            hint: `stop what holds the address, or give another --${name}-port or --listen`,
          }),
        );
      }
    });
  });
  if (local) await chmod(at.socketPath, 0o600);
  return local ? 0 : port;
}

function credentials(security: Security): ServerCredentials {
  if (security.type === 'Plaintext') return ServerCredentials.createInsecure();
  const { certificate, key, ca } = security.identity;
  const pairs = [{ cert_chain: Buffer.from(certificate), private_key: Buffer.from(key) }];
  // With `true`, TLS itself refuses a client without a certificate of our CA, before any call.
  return ServerCredentials.createSsl(Buffer.from(ca), pairs, security.type === 'MutualTls');
}

/** grpc-js has no public door to its HTTP/2 servers; @tributary/proto/grpc checks the same field. */
interface ServerInternals {
  readonly http2Servers: ReadonlyMap<NetServer, unknown>;
}

/** grpc-js reads certificates when it binds, and lets others come from files alone. */
function presentAnew(
  server: Server,
  security: Security,
  { certificate, key }: Pick<ServerIdentity, 'certificate' | 'key'>,
): void {
  if (security.type === 'Plaintext') return;
  for (const listener of (server as unknown as ServerInternals).http2Servers.keys())
    (listener as TlsServer).setSecureContext({ ca: security.identity.ca, cert: certificate, key });
}

function watchSessions(server: Server, { security, maxConnections, at }: ListenerOptions): void {
  const isLocal = 'socketPath' in at;
  if (security.type === 'MutualTls') limitStrangers(server, LIMITS.handshakes, true);
  else if (!isLocal) limitStrangers(server, maxConnections);
  for (const listener of (server as unknown as ServerInternals).http2Servers.keys()) {
    if (isLocal) listener.maxConnections = maxConnections;
    if (security.type !== 'MutualTls') continue;
    listener.maxConnections = maxConnections + LIMITS.handshakes;
    listener.on('session', (session: Http2Session) => {
      const socket = session.socket as TLSSocket;
      const key = peerKey(peerOfCertificate(socket.getPeerCertificate()));
      security.sessions.add(key, session, socket.remotePort);
    });
  }
}

function shutDown(server: Server, drainMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      // A connection that broke in the middle of a frame may never be told to be closed: nobody waits for it.
      resolve();
    }, drainMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
