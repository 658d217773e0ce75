import type { Server as NetServer, Socket } from 'node:net';

/** Who is at the other end of a connection: addresses are the same for a socket and for the TLS session on it. */
export type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

/** What a peer asked for, until it is answered or given up. */
export interface Call {
  once(event: 'close', listener: () => void): unknown;
}

interface Known {
  readonly socket: Socket;
  /** Calls that are not answered yet. */
  calls: number;
}

/**
 * Bounds the connections of a listener that anybody can open. The newest is always taken: one too many ends the oldest
 * of those that never asked for anything where they are more than half, else whoever asked and was answered longest ago,
 * and only where everybody waits for an answer whoever has waited longest. So neither those who keep silent nor those
 * who asked once and stay keep anybody out, who has a question and leaves.
 */
export class Crowd {
  readonly #most: number;
  /** By peer, the oldest first. */
  readonly #silent = new Map<string, Socket>();
  /** By peer, the one that was last used longest ago first. */
  readonly #known = new Map<string, Known>();

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
  heard(peer: Peer, call: Call): void {
    const key = keyOf(peer);
    const socket = this.#silent.get(key);
    const known = socket === undefined ? this.#known.get(key) : { socket, calls: 0 };
    if (known === undefined) return;
    this.#silent.delete(key);
    known.calls += 1;
    this.#used(key, known);
    call.once('close', () => {
      known.calls -= 1;
      if (this.#known.get(key) === known) this.#used(key, known);
    });
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
    const [oldest] = this.#silent.size > Math.max(1, this.#most / 2) ? this.#silent : [];
    const [leaves, ended] = oldest ?? this.#leastUsed() ?? [key, socket];
    this.#forget(leaves);
    ended.destroy();
  }

  /** Of those who asked, whoever waits for nothing goes first. */
  #leastUsed(): readonly [string, Socket] | undefined {
    const all = [...this.#known];
    const [key, known] = all.find(([, { calls }]) => calls === 0) ?? all[0] ?? [];
    return key === undefined || known === undefined ? undefined : [key, known.socket];
  }

  #used(key: string, known: Known): void {
    this.#known.delete(key);
    this.#known.set(key, known);
  }

  /** The same address and port may be another connection's already. */
  #forget(key: string, socket?: Socket): void {
    if (socket === undefined || this.#silent.get(key) === socket) this.#silent.delete(key);
    if (socket === undefined || this.#known.get(key)?.socket === socket) this.#known.delete(key);
  }
}

const keyOf = ({ remoteAddress = '', remotePort = 0 }: Peer): string =>
  `${remoteAddress} ${String(remotePort)}`;
