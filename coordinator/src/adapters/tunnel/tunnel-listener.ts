import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import {
  LIMITS,
  TributaryError,
  TUNNEL_ENDS,
  TUNNEL_PROTOCOL,
  tunnelPath,
  type TunnelEnd,
} from '@tributary/proto';
import { createWebSocketStream, WebSocketServer } from 'ws';

import type { Listener } from '../grpc/listener.js';

export interface TunnelOptions {
  readonly host: string;
  readonly port: number;
  /** PEM. It protects nothing: what is inside has a certificate of its own. */
  readonly certificate: string;
  readonly key: string;
  /** Where the daemon's own listeners are: a tunnel leads nowhere else. */
  readonly ends: Readonly<Record<TunnelEnd, { readonly host: string; readonly port: number }>>;
}

/**
 * The listener for agents behind proxies that open TLS. It carries bytes and believes nobody: whoever comes through it meets
 * the TLS, the certificates and the limits of the fleet or enrol listener. Rejects with CONFIG_INVALID.
 */
export async function startTunnels(options: TunnelOptions): Promise<Listener> {
  const tunnels = new Tunnels(options);
  const port = await tunnels.listen();
  return { port, close: (drainMs) => tunnels.close(drainMs) };
}

class Tunnels {
  readonly #options: TunnelOptions;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: LIMITS.tunnelMessageBytes,
    handleProtocols: () => TUNNEL_PROTOCOL,
  });
  /** Open ones, by the address that they come from. */
  readonly #open = new Map<Socket, string>();

  constructor(options: TunnelOptions) {
    this.#options = options;
    this.#server = createServer({ cert: options.certificate, key: options.key }, (_request, response) =>
      response.writeHead(426, { upgrade: 'websocket', connection: 'close' }).end(),
    );
    this.#server.requestTimeout = LIMITS.handshakeMs;
    this.#server.headersTimeout = LIMITS.handshakeMs;
    this.#server.keepAliveTimeout = LIMITS.handshakeMs;
    this.#server.maxConnections = LIMITS.tunnels;
    this.#server.on('upgrade', (request, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
  }

  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', (cause) => {
        reject(
          new TributaryError('CONFIG_INVALID', `tunnel: cannot listen on ${host}:${String(port)}`, {
            cause,
            hint: 'stop what holds the address, or give another --tunnel-port or --listen',
          }),
        );
      });
      this.#server.listen(port, host, () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  /** What is inside is told to end by its own listener; the rest is cut after `drainMs`. */
  close(drainMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        for (const socket of this.#open.keys()) socket.destroy();
        this.#server.closeAllConnections();
      }, drainMs);
      this.#server.close(() => {
        clearTimeout(timer);
        resolve();
      });
      this.#server.closeIdleConnections();
    });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const from = request.socket.remoteAddress ?? '';
    const end = TUNNEL_ENDS.find((name) => request.url === tunnelPath(name));
    const offered = request.headers['sec-websocket-protocol'] ?? '';
    if (end === undefined || offered !== TUNNEL_PROTOCOL) refuse(socket, '404 Not Found');
    else if (this.#isFull(from)) refuse(socket, '503 Service Unavailable');
    else this.#dial(request, { socket, head, from, target: connect(this.#options.ends[end]) });
  }

  #isFull(from: string): boolean {
    const ofThis = [...this.#open.values()].filter((address) => address === from).length;
    return this.#open.size >= LIMITS.tunnels || ofThis >= LIMITS.tunnelsPerAddress;
  }

  #dial(request: IncomingMessage, { socket, head, from, target }: Opening): void {
    this.#open.set(target, from);
    target.setNoDelay(true).setTimeout(LIMITS.tunnelIdleMs, () => target.destroy());
    target.once('close', () => this.#open.delete(target));
    target.on('error', () => refuse(socket, '502 Bad Gateway'));
    socket.once('close', () => target.destroy());
    target.once('connect', () => {
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        const stream = createWebSocketStream(webSocket);
        stream.on('error', () => target.destroy());
        stream.once('close', () => target.destroy());
        target.once('close', () => webSocket.terminate());
        stream.pipe(target).pipe(stream);
      });
    });
  }
}

interface Opening {
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly from: string;
  readonly target: Socket;
}

function refuse(socket: Duplex, status: string): void {
  if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
