import { connect, createServer, type Server, type Socket } from 'node:net';

import { DelayLine } from '../support/delay-line.js';
import type { SeededRandom } from '../support/seeded-random.js';

/** What a link does to the bytes of its connections. */
export interface LinkFault {
  /** Milliseconds that bytes are under way, each way. */
  delayMs?: number;
  /** New connections are refused. */
  down?: boolean;
  /** Open connections stay open, and nothing passes; new ones are taken, and nothing passes there either. */
  hole?: boolean;
  /** One bit in so many bytes arrives inverted. */
  corruptEvery?: number;
}

/** What a relay did to the bytes and connections that it carried. */
export interface RelayCounts {
  connections: number;
  /** Bytes that arrived late. */
  delayedBytes: number;
  /** Connections that were refused, and that were ended. */
  refused: number;
  cut: number;
  /** Bytes that were swallowed. */
  swallowedBytes: number;
  /** Connections that carry nothing more and were left open. */
  abandoned: number;
  /** Bits that were inverted. */
  corrupted: number;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

/** A link between agents and the coordinator: TCP in, TCP out, with faults that may change at any time. */
export class Relay {
  fault: LinkFault = {};
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #random: SeededRandom;
  readonly #to: number;
  #untilCorrupt = Infinity;
  readonly counts: RelayCounts = {
    ...{ connections: 0, delayedBytes: 0, refused: 0, cut: 0 },
    ...{ swallowedBytes: 0, abandoned: 0, corrupted: 0 },
  };

  private constructor(to: number, random: SeededRandom) {
    this.#to = to;
    this.#random = random;
    this.#server = createServer((client) => this.#open(client));
  }

  static async start(port: number, to: number, random: SeededRandom): Promise<Relay> {
    const relay = new Relay(to, random);
    await new Promise<void>((resolve, reject) => {
      relay.#server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
    return relay;
  }

  /** Ends every connection, as a device between the two would. */
  cut(): void {
    this.counts.cut += this.#pairs.size;
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Open connections stay open and carry nothing more, ever; new ones work. */
  abandon(): void {
    this.counts.abandoned += this.#pairs.size;
    for (const { client, server } of this.#pairs) {
      client.removeAllListeners('data').removeAllListeners('end').resume();
      server.removeAllListeners('data').removeAllListeners('end').resume();
    }
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }

  #open(client: Socket): void {
    if (this.fault.down === true) {
      this.counts.refused += 1;
      client.resetAndDestroy();
      return;
    }
    const pair = { client, server: connect(this.#to, '127.0.0.1') };
    this.#pairs.add(pair);
    this.counts.connections += 1;
    this.#forward(client, pair.server);
    this.#forward(pair.server, client);
    for (const [socket, other] of [
      [client, pair.server],
      [pair.server, client],
    ] as const) {
      socket.setNoDelay(true).on('error', () => other.destroy());
      socket.on('close', () => {
        this.#pairs.delete(pair);
        other.destroy();
      });
    }
  }

  #forward(from: Socket, to: Socket): void {
    const delayMs = this.fault.delayMs ?? 0;
    const line = new DelayLine(delayMs);
    line
      .on('error', () => undefined)
      .on('data', (bytes: Buffer) => {
        if (delayMs > 0) this.counts.delayedBytes += bytes.length;
        this.#deliver(bytes, to);
      });
    from.on('data', (bytes: Buffer) => line.write(bytes)).on('close', () => line.destroy());
    from.on('end', () => to.end());
  }

  #deliver(bytes: Buffer, to: Socket): void {
    if (this.fault.hole === true) this.counts.swallowedBytes += bytes.length;
    if (this.fault.hole === true || to.destroyed) return;
    to.write(this.#corrupt(bytes));
  }

  #corrupt(bytes: Buffer): Buffer {
    const every = this.fault.corruptEvery;
    if (every === undefined) return bytes;
    if (this.#untilCorrupt === Infinity) this.#untilCorrupt = this.#random.below(2 * every);
    if (this.#untilCorrupt >= bytes.length) {
      this.#untilCorrupt -= bytes.length;
      return bytes;
    }
    const copy = Buffer.from(bytes);
    const at = this.#untilCorrupt;
    copy[at] = (copy[at] ?? 0) ^ (1 << this.#random.below(8));
    this.#untilCorrupt = Infinity;
    this.counts.corrupted += 1;
    return copy;
  }
}
