import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';

import { LIMITS, TributaryError, TUNNEL_PROTOCOL, tunnelPath, type TunnelEnd } from '@tributary/proto';
import { createWebSocketStream, WebSocket } from 'ws';

import { formatAddress, type Address } from '../../domain/address.js';
import { openSocket, type Proxy } from '../tls/connect-tunnel.js';

/** What a tunnel is opened with. */
export interface TunnelRoute {
  /** Tunnel listener of the coordinator, or what stands before it. */
  readonly address: Address;
  readonly proxy: Proxy | undefined;
  /** PEM of the authorities whose inspection is put up with; undefined: those that Node brings. */
  readonly bundle: string | undefined;
}

/**
 * A connection to a listener of the coordinator inside a tunnel. Whoever opens the TLS outside may read and alter what passes, as
 * may any router: the caller speaks TLS with the coordinator inside. Rejects with UNAVAILABLE or CA_MISMATCH.
 */
export async function openTunnel(
  end: TunnelEnd,
  { address, proxy, bundle }: TunnelRoute,
  timeoutMs: number = LIMITS.unaryDeadlineMs,
): Promise<Duplex> {
  const socket = await openSocket(address, proxy, timeoutMs);
  const outer = await outerTls(address, socket, bundle, timeoutMs);
  return upgrade(end, address, outer, timeoutMs);
}

/** Server-authenticated TLS 1.2 or later with whoever the site's authorities vouch for, HTTP/1.1 inside. */
function outerTls(
  address: Address,
  socket: Duplex,
  ca: string | undefined,
  timeoutMs: number,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secured = connect({
      socket,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
      host: address.host,
      ...(isIP(address.host) === 0 && { servername: address.host }),
      ...(ca !== undefined && { ca }),
    });
    const timer = setTimeout(() => secured.destroy(new Error('timed out')), timeoutMs);
    const fail = (cause: Error): void => {
      clearTimeout(timer);
      secured.destroy();
      reject(outerFault(address, cause));
    };
    secured.once('error', fail);
    secured.once('secureConnect', () => {
      clearTimeout(timer);
      secured.off('error', fail).on('error', () => secured.destroy());
      resolve(secured);
    });
  });
}

function outerFault(address: Address, cause: Error): TributaryError {
  const code = 'code' in cause ? String(cause.code) : '';
  const untrusted = /CERT|ISSUER|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code);
  const what = untrusted
    ? `no authority of caBundle vouches for what answers (${code})`
    : `no TLS: ${cause.message}`;
  return new TributaryError(
    untrusted ? 'CA_MISMATCH' : 'UNAVAILABLE',
    `tunnel ${formatAddress(address)}: ${what}`,
    { cause },
  );
}

function upgrade(end: TunnelEnd, address: Address, outer: TLSSocket, timeoutMs: number): Promise<Duplex> {
  const name = formatAddress(address);
  return new Promise((resolve, reject) => {
    const webSocket = new WebSocket(`ws://${name}${tunnelPath(end)}`, [TUNNEL_PROTOCOL], {
      createConnection: () => outer,
      perMessageDeflate: false,
      handshakeTimeout: timeoutMs,
      maxPayload: LIMITS.tunnelMessageBytes,
    });
    const stream = createWebSocketStream(webSocket);
    const refused = (why: string, cause?: Error): void => {
      outer.destroy();
      reject(new TributaryError('UNAVAILABLE', `tunnel ${name}: ${why}`, { cause }));
    };
    stream.on('error', (cause) => refused(cause.message, cause));
    // Half a connection is of no use to TLS inside.
    stream.once('end', () => stream.destroy());
    webSocket.once('unexpected-response', (_request, { statusCode }) =>
      refused(
        `answered with status ${String(statusCode)}; the coordinator serves none there, or the proxy lets no WebSocket through`,
      ),
    );
    webSocket.once('open', () => resolve(stream));
  });
}
