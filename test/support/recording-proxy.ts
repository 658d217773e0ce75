import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

/** The bytes of one tunnel, below TLS. */
export interface RecordedTunnel {
  /** host:port. */
  readonly target: string;
  /** What the client sent, and what it got. */
  readonly sent: Buffer[];
  readonly received: Buffer[];
}

/** An HTTP CONNECT proxy that keeps every byte that passes. */
export class RecordingProxy {
  readonly tunnels: RecordedTunnel[] = [];
  /** Milliseconds for which nothing more is read after each piece that a client sent: a slow link. */
  pauseMs = 0;
  readonly #server: Server = createServer((_request, response) => response.writeHead(405).end());
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server.on('connect', (request, client: Socket, head: Buffer) =>
      this.#open(request.url ?? '', client, head),
    );
  }

  static async start(): Promise<RecordingProxy> {
    const proxy = new RecordingProxy();
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** Bytes that clients have sent, below TLS, requests for tunnels besides. */
  get sent(): number {
    return this.tunnels.reduce(
      (bytes, { sent }) => bytes + sent.reduce((sum, piece) => sum + piece.length, 0),
      0,
    );
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #open(target: string, client: Socket, head: Buffer): void {
    const [host = '', port = ''] = target.split(':');
    const tunnel: RecordedTunnel = { target, sent: [head], received: [] };
    this.tunnels.push(tunnel);
    const server = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      server.write(head);
      client.on('data', (bytes: Buffer) => {
        tunnel.sent.push(bytes);
        server.write(bytes);
        if (this.pauseMs > 0) {
          client.pause();
          setTimeout(() => client.resume(), this.pauseMs);
        }
      });
      server.on('data', (bytes: Buffer) => {
        tunnel.received.push(bytes);
        client.write(bytes);
      });
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
