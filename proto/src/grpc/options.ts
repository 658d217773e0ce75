import { isIP, type Server as NetServer } from 'node:net';

import type { ChannelOptions, Server } from '@grpc/grpc-js';

import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { Crowd, type Call, type Peer } from './crowd.js';

const COMMON: ChannelOptions = {
  'grpc.max_receive_message_length': LIMITS.grpcMessageBytes,
  'grpc.max_send_message_length': LIMITS.grpcMessageBytes,
  // Without pings a peer that vanished behind a dead route is never noticed.
  'grpc.keepalive_time_ms': LIMITS.keepaliveTimeMs,
  'grpc.keepalive_timeout_ms': LIMITS.keepaliveTimeoutMs,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.enable_channelz': 0,
};

/** Options of every client channel. `overrides` come last: a test shortens a timeout, an agent sets its proxy. */
export function channelOptions(overrides: ChannelOptions = {}): ChannelOptions {
  return {
    ...COMMON,
    'grpc.initial_reconnect_backoff_ms': LIMITS.reconnectMinMs,
    'grpc.max_reconnect_backoff_ms': LIMITS.reconnectMaxMs,
    'grpc-node.flow_control_window': LIMITS.receiveWindowBytes,
    // Calls are repeated by those who know whether that is safe; the buffer of the channel would hold chunks twice.
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    // Two clients of one process with other certificates must not share a connection.
    'grpc.use_local_subchannel_pool': 1,
    ...overrides,
  };
}

/** Name in every coordinator's server certificate, whatever hosts it is reached at. */
export const SERVER_NAME = 'coordinator.tributary.internal';

/**
 * Options that let a client verify a coordinator reached at an IP address: TLS sends no address as server name (RFC
 * 6066, 3), so the certificate is checked against {@link SERVER_NAME}. The federation's CA is pinned and issues server
 * certificates to its coordinator alone. Empty for a host name.
 */
export function serverNameOptions(host: string): ChannelOptions {
  return isIP(host.replace(/^\[|\]$/g, '')) === 0 ? {} : { 'grpc.ssl_target_name_override': SERVER_NAME };
}

/** Options of every server. */
export function serverOptions(overrides: ChannelOptions = {}): ChannelOptions {
  return { ...COMMON, 'grpc.max_concurrent_streams': LIMITS.streamsPerConnection, ...overrides };
}

interface Http2Session {
  readonly socket: Peer;
  setLocalWindowSize(bytes: number): void;
}

interface Http2Listener {
  on(event: 'session', listener: (session: Http2Session) => void): void;
  on(event: 'stream', listener: (stream: Call & { readonly session?: Http2Session }) => void): void;
}

/** Fields of grpc-js 1.14's Server that have no public door; the version is pinned and a test watches the effect. */
interface ServerInternals {
  readonly commonServerOptions: { settings?: { initialWindowSize?: number }; handshakeTimeout?: number };
  readonly http2Servers: ReadonlyMap<NetServer & Http2Listener, unknown>;
}

/**
 * Widens the receive window of each new stream to `bytes`: grpc-js leaves it at 64 KiB, which takes 13 s for 10 MB at a
 * round trip of 50 ms. Call it before the first bind, and {@link widenSessions} after the last.
 */
export function widenStreams(server: Server, bytes: number = LIMITS.receiveWindowBytes): void {
  const { commonServerOptions } = internals(server);
  commonServerOptions.settings = { ...commonServerOptions.settings, initialWindowSize: bytes };
}

/**
 * Ends connections that do not finish their TLS handshake in time: Node grants 120 s, in which idle sockets of strangers
 * would keep agents out. Call it before the first bind.
 */
export function limitHandshakes(server: Server, ms: number = LIMITS.handshakeMs): void {
  internals(server).commonServerOptions.handshakeTimeout = ms;
}

/** Widens the receive window of each new connection on the ports bound so far. */
export function widenSessions(server: Server, bytes: number = LIMITS.receiveWindowBytes): void {
  for (const listener of internals(server).http2Servers.keys()) {
    listener.on('session', (session) => {
      session.setLocalWindowSize(bytes);
    });
  }
}

/**
 * Bounds the connections of strangers on the ports bound so far to `most`, see {@link Crowd}. With `mutual` TLS whoever
 * finished the handshake has shown a certificate and is none.
 */
export function limitStrangers(server: Server, most: number, mutual = false): void {
  for (const listener of internals(server).http2Servers.keys()) {
    const crowd = new Crowd(listener, most);
    if (mutual) listener.on('session', ({ socket }) => crowd.admit(socket));
    else
      listener.on('stream', (stream) => {
        if (stream.session !== undefined) crowd.heard(stream.session.socket, stream);
      });
  }
}

function internals(server: Server): ServerInternals {
  const candidate = server as unknown as Partial<ServerInternals>;
  if (candidate.commonServerOptions === undefined || !(candidate.http2Servers instanceof Map)) {
    throw new TributaryError('INTERNAL', 'this version of grpc-js keeps its HTTP/2 servers elsewhere');
  }
  return candidate as ServerInternals;
}
