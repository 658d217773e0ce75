import type { Server as NetServer, Socket } from 'node:net';

/** Who is at the other end of a connection: addresses are the same for a socket and for the TLS session on it. */
export type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

/**
 * Bounds the connections of a listener that anybody can open. The newest is always taken: one too many ends the oldest
 * that never asked for anything, and where there is none the oldest of all. Whoever opens connections and keeps them
 * keeps nobody out, who has a question and leaves.
 */
export class Crowd {
  readonly #most: number;
  /** By peer, the oldest first. */
  readonly #silent = new Map<string, Socket>();
  readonly #known = new Map<string, Socket>();

  /** `most`: connections at the same time that were not admitted. */
  constructor(listener: NetServer, most: number) {
    this.#most = most;
    listener.on('connection', (socket: Socket) => this.#add(socket));
  }

  /** Connections that count. */
  get size(): number {
    return this.#silent.size + this.#known.size;
  }

  /** The peer has asked for something. */
  heard(peer: Peer): void {
    const key = keyOf(peer);
    const socket = this.#silent.get(key);
    if (socket === undefined) return;
    this.#silent.delete(key);
    this.#known.set(key, socket);
  }

  /** The peer has shown who it is: it counts elsewhere from now on. */
  admit(peer: Peer): void {
    this.#forget(keyOf(peer));
  }

  #add(socket: Socket): void {
    const key = keyOf(socket);
    this.#silent.set(key, socket);
    socket.once('close', () => {
      this.#forget(key, socket);
    });
    if (this.size <= this.#most) return;
    const [first] = this.#silent.size > 1 ? this.#silent : this.#known;
    if (first === undefined) return;
    const [oldest, ended] = first;
    this.#forget(oldest);
    ended.destroy();
  }

  /** The same address and port may be another connection's already. */
  #forget(key: string, socket?: Socket): void {
    for (const sockets of [this.#silent, this.#known])
      if (socket === undefined || sockets.get(key) === socket) sockets.delete(key);
  }
}

const keyOf = ({ remoteAddress = '', remotePort = 0 }: Peer): string =>
  `${remoteAddress} ${String(remotePort)}`;
