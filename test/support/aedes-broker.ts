import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

import { Aedes } from 'aedes';

/** An embedded MQTT 3.1.1 broker whose connections can be cut; what it knows stays in memory. */
export class AedesBroker {
  readonly port: number;
  readonly #aedes: Aedes;
  readonly #sockets = new Set<Socket>();
  #server: Server;

  private constructor(aedes: Aedes, server: Server, sockets: Set<Socket>) {
    this.#aedes = aedes;
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Subscriptions to filters that begin with `forbidden` are refused. */
  static async start(forbidden?: string): Promise<AedesBroker> {
    const aedes = await Aedes.createBroker();
    if (forbidden !== undefined)
      aedes.authorizeSubscribe = (_client, subscription, done) =>
        done(null, subscription.topic.startsWith(forbidden) ? null : subscription);
    const sockets = new Set<Socket>();
    return new AedesBroker(aedes, await listen(aedes, sockets, 0), sockets);
  }

  async leave(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async comeBack(): Promise<void> {
    this.#server = await listen(this.#aedes, this.#sockets, this.port);
  }

  async stop(): Promise<void> {
    await this.leave();
    await new Promise<void>((resolve) => this.#aedes.close(resolve));
  }
}

async function listen(aedes: Aedes, sockets: Set<Socket>, port: number): Promise<Server> {
  // As every broker in use: a small packet does not wait for the acknowledgement of the one before.
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    aedes.handle(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}
