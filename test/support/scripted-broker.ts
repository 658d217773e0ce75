import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

import { generate, parser, type Packet } from 'mqtt-packet';

/** A broker that answers each packet as a test says: with packets, with bytes, or by cutting the connection. */
export class ScriptedBroker {
  readonly port: number;
  readonly received: Packet[] = [];
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(
    protocolVersion: 4 | 5,
    answer: (packet: Packet) => readonly (Packet | Buffer | 'Cut')[],
  ): Promise<ScriptedBroker> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      const reader = parser({ protocolVersion });
      reader.on('packet', (packet) => {
        broker.received.push(packet);
        for (const one of answer(packet)) {
          if (one === 'Cut') socket.destroy();
          else socket.write(Buffer.isBuffer(one) ? one : generate(one, { protocolVersion }));
        }
      });
      socket.on('data', (chunk) => reader.parse(chunk));
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const broker = new ScriptedBroker(server, sockets);
    return broker;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
