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
import { Crowd } from '@tributary/proto/grpc';
import { createWebSocketStream, WebSocketServer } from 'ws';

import type { TlsListener } from '../grpc/listener.js';

export interface TunnelOptions {
  readonly host: string;
  readonly port: number;
  /** PEM. It protects nothing: what is inside has a certificate of its own. */
  readonly certificate: string;
  readonly key: string;
  /** Where the daemon's own listeners are: a tunnel leads nowhere else. */
  readonly ends: Readonly<Record<TunnelEnd, { readonly host: string; readonly port: number }>>;
  /** Tunnels in all, LIMITS.tunnels unless given. */
  readonly tunnels?: number;
  /** Whether who comes to the fleet listener from that port has shown a certificate. */
  readonly isMember: (port: number) => boolean;
}

/**
 * The listener for agents behind proxies that open TLS. It carries bytes and believes nobody: whoever comes through it meets
 * the TLS, the certificates and the limits of the fleet or enrol listener. Rejects with CONFIG_INVALID.
 */
export async function startTunnels(options: TunnelOptions): Promise<TlsListener> {
  const tunnels = new Tunnels(options);
  const port = await tunnels.listen();
  return {
    port,
    present: ({ certificate, key }) => {
      tunnels.present(certificate, key);
    },
    close: (drainMs) => tunnels.close(drainMs),
  };
}

class Tunnels {
  readonly #options: TunnelOptions;
  readonly #limit: number;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: LIMITS.tunnelMessageBytes,
    handleProtocols: () => TUNNEL_PROTOCOL,
  });
  /** What is not a tunnel yet: whoever opens connections and keeps them keeps no tunnel out. */
  readonly #crowd: Crowd;
  readonly #connections = new Set<Socket>();
  /** Tunnels, the oldest first, by the socket that leads on. */
  readonly #open = new Map<Socket, Tunnel>();

  constructor(options: TunnelOptions) {
    this.#options = options;
    this.#server = createServer(
      { cert: options.certificate, key: options.key, handshakeTimeout: LIMITS.handshakeMs },
      (_request, response) => response.writeHead(426, { upgrade: 'websocket', connection: 'close' }).end(),
    );
    this.#server.requestTimeout = LIMITS.handshakeMs;
    this.#server.headersTimeout = LIMITS.handshakeMs;
    this.#server.keepAliveTimeout = LIMITS.handshakeMs;
    this.#limit = options.tunnels ?? LIMITS.tunnels;
    this.#crowd = new Crowd(this.#server, LIMITS.tunnels);
    this.#server.on('connection', (socket: Socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
    });
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

  present(cert: string, key: string): void {
    this.#server.setSecureContext({ cert, key });
  }

  /** What is inside is told to end by its own listener; the rest is cut after `drainMs`. */
  close(drainMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        for (const socket of this.#open.keys()) socket.destroy();
        // Those that were refused, or are in the middle of a handshake, are none of the HTTP server's.
        for (const socket of this.#connections) socket.destroy();
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
    else if (!this.#hasRoom(end, from)) refuse(socket, '503 Service Unavailable');
    else
      this.#dial(request, {
        socket,
        head,
        tunnel: { end, from },
        target: connect(this.#options.ends[end]),
      });
  }

  /**
   * Whether another tunnel may be opened, where need be in place of one that anybody may hold: the oldest to the enrol
   * listener, which whoever joins needs for a moment, else the oldest to the fleet listener in which nobody has shown a certificate
   * yet. So strangers keep no member out unless they come faster than a member shakes hands.
   */
  #hasRoom(end: TunnelEnd, from: string): boolean {
    const alike = [...this.#open].filter(([, tunnel]) => tunnel.end === end && tunnel.from === from);
    const isShareTaken = alike.length >= LIMITS.tunnelsPerAddress;
    if (!isShareTaken && this.#open.size < this.#limit) return true;
    const among = isShareTaken ? alike : [...this.#open];
    const [oldest] =
      among.find(([, tunnel]) => tunnel.end === 'enrol') ??
      among.find(([target]) => !this.#options.isMember(target.localPort ?? 0)) ??
      [];
    if (oldest === undefined) return false;
    this.#open.delete(oldest);
    oldest.destroy();
    return true;
  }

  #dial(request: IncomingMessage, { socket, head, tunnel, target }: Opening): void {
    this.#open.set(target, tunnel);
    target.setNoDelay(true).setTimeout(LIMITS.tunnelIdleMs, () => target.destroy());
    target.once('close', (failed) => {
      this.#open.delete(target);
      if (!failed) socket.destroy();
    });
    const unreachable = (): void => refuse(socket, '502 Bad Gateway');
    target.once('error', unreachable);
    socket.once('close', () => target.destroy());
    target.once('connect', () => {
      // What is answered from now on would be bytes inside a WebSocket.
      target.off('error', unreachable).on('error', () => socket.destroy());
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.#crowd.admit(request.socket);
        const stream = createWebSocketStream(webSocket);
        stream.on('error', () => target.destroy());
        stream.once('close', () => target.destroy());
        target.once('close', () => webSocket.terminate());
        stream.pipe(target).pipe(stream);
      });
    });
  }
}

interface Tunnel {
  readonly end: TunnelEnd;
  /** The address that it comes from. */
  readonly from: string;
}

interface Opening {
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly tunnel: Tunnel;
  readonly target: Socket;
}

/** Nothing waits for the other side to close its half. */
function refuse(socket: Duplex, status: string): void {
  if (!socket.writable) return void socket.destroy();
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
