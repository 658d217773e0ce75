import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

import { DelayLine } from './delay-line.js';

/** A proxy that opens HTTP CONNECT tunnels for one user, and counts them. */
export class ConnectProxy {
  tunnels = 0;
  refused = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** `delayMs` passes in each direction: half of a round trip. */
  static async start(username: string, password: string, delayMs = 0): Promise<ConnectProxy> {
    const expected = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const server = createServer((_request, response) => response.writeHead(405).end());
    const proxy = new ConnectProxy(server);
    server.on('connection', (socket: Socket) => proxy.#keep(socket));
    server.on('connect', (request, client: Socket) => {
      client.on('error', () => client.destroy());
      if (request.headers['proxy-authorization'] !== expected) {
        proxy.refused += 1;
        client.end(
          'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n',
        );
        return;
      }
      const [host = '', port = ''] = (request.url ?? '').split(':');
      const target = connect(Number(port), host, () => {
        proxy.tunnels += 1;
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        if (delayMs === 0) target.pipe(client).pipe(target);
        else target.pipe(new DelayLine(delayMs)).pipe(client).pipe(new DelayLine(delayMs)).pipe(target);
      });
      proxy.#keep(target);
      target.on('error', () => client.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}
