import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

export interface FlakyOptions {
  /** Bytes a second in each direction, of all tunnels together; unlimited unless given. */
  readonly bytesPerSecond?: number;
  /** Milliseconds for which a tunnel lives; until somebody ends it unless given. */
  readonly breakMs?: number;
  /** Bytes that a client sends into a tunnel before it is cut; no end unless given. */
  readonly breakBytes?: number;
}

/** How often a throttled direction passes something on. */
const TICK_MS = 20;

/**
 * An HTTP CONNECT proxy as a bad line has it: slow, with tunnels that are cut after a while, or a hole that swallows everything while its
 * connections stay open.
 */
export class FlakyProxy {
  /** Bytes that clients sent into tunnels, and that came out for them: TLS and framing included. */
  readonly bytes = { sent: 0, received: 0 };
  tunnels = 0;
  breaks = 0;
  /** From now on nothing passes any more, in open tunnels and in new ones, until it is false again. */
  hole = false;
  /** From now on nothing comes back to clients: their requests arrive, the answers are lost. */
  deaf = false;
  readonly #server: Server = createServer((_request, response) => response.writeHead(405).end());
  readonly #sockets = new Set<Socket>();
  readonly #options: FlakyOptions;

  private constructor(options: FlakyOptions) {
    this.#options = options;
    this.#server.on('connect', (request, client: Socket, head: Buffer) =>
      this.#open(request.url ?? '', client, head),
    );
  }

  static async start(options: FlakyOptions = {}): Promise<FlakyProxy> {
    const proxy = new FlakyProxy(options);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** Cuts every tunnel. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #open(target: string, client: Socket, head: Buffer): void {
    const [host = '', port = ''] = target.split(':');
    const server = connect(Number(port), host, () => {
      this.tunnels += 1;
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      server.write(head);
      this.#pass(client, server, 'sent');
      this.#cutAfter(client);
      this.#pass(server, client, 'received');
    });
    const { breakMs } = this.#options;
    const cut = (): void => {
      this.breaks += 1;
      client.destroy();
    };
    const timer = breakMs === undefined ? undefined : setTimeout(cut, breakMs);
    client.once('close', () => clearTimeout(timer));
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

  #cutAfter(client: Socket): void {
    const { breakBytes = Number.POSITIVE_INFINITY } = this.#options;
    let sent = 0;
    client.on('data', ({ length }: Buffer) => {
      sent += length;
      if (sent < breakBytes || client.destroyed) return;
      this.breaks += 1;
      client.destroy();
    });
  }

  #pass(from: Socket, to: Socket, direction: 'sent' | 'received'): void {
    const { bytesPerSecond } = this.#options;
    from.on('data', (bytes: Buffer) => {
      if (this.hole || (this.deaf && direction === 'received')) return;
      this.bytes[direction] += bytes.length;
      const flows = to.write(bytes);
      const pauseMs = bytesPerSecond === undefined ? 0 : (bytes.length / bytesPerSecond) * 1_000;
      if (flows && pauseMs === 0) return;
      from.pause();
      const drained = flows ? Promise.resolve() : new Promise<void>((resolve) => to.once('drain', resolve));
      const paced = new Promise<void>((resolve) => setTimeout(resolve, Math.max(pauseMs, TICK_MS)));
      Promise.all([drained, paced]).then(
        () => from.resume(),
        () => undefined,
      );
    });
  }
}
