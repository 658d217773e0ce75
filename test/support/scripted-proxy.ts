import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What a proxy sends back for each CONNECT, and whether it keeps the connection open then. */
export interface ProxyScript {
  readonly answer: string;
  readonly keeps: boolean;
}

/** A proxy that says what a test has it say, to everybody, and passes nothing on. */
export class ScriptedProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start({ answer, keeps }: ProxyScript): Promise<ScriptedProxy> {
    const server = createServer();
    const proxy = new ScriptedProxy(server);
    server.on('connection', (socket: Socket) => {
      proxy.#sockets.add(socket);
      socket.on('error', () => socket.destroy()).on('close', () => proxy.#sockets.delete(socket));
      socket.once('data', () => {
        socket.write(answer);
        if (!keeps) socket.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** As agent.yaml names it. */
  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
