import { channel } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

import type { SocketBytes } from '../../egress-ports.js';

/** Node tells here of every TCP socket that a client opens, those of grpc-js and of tunnels among them. */
const OPENED = 'net.client.socket';

/**
 * Counts what is written to the sockets towards the coordinator, or the proxy before it: below TLS, so with everything that
 * TLS, HTTP/2 and gRPC add. Sockets are known by the port that they go to: another server on a port of the same number would
 * be counted too, never too little.
 */
export class SocketMeter implements SocketBytes {
  readonly #ports = new Set<number>();
  readonly #open = new Set<Socket>();
  /** Of sockets that are closed. */
  #closed = 0n;
  readonly #opened = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    this.#open.add(socket);
    socket.once('close', () => {
      this.#closed += this.#bytesOf(socket);
      this.#open.delete(socket);
    });
  };

  constructor() {
    channel(OPENED).subscribe(this.#opened);
  }

  /** Sockets to this port are counted from the first byte on; say so before one opens. */
  watch(port: number): void {
    this.#ports.add(port);
  }

  written(): bigint {
    let bytes = this.#closed;
    for (const socket of this.#open) bytes += this.#bytesOf(socket);
    return bytes;
  }

  turns(look: () => void): () => void {
    let next: NodeJS.Immediate;
    const arm = (): void => {
      // Unreferenced, so that it follows a turn that something else caused, and causes none itself.
      next = setImmediate(() => {
        look();
        arm();
      }).unref();
    };
    arm();
    return () => {
      clearImmediate(next);
    };
  }

  close(): void {
    channel(OPENED).unsubscribe(this.#opened);
  }

  /** The port is known once the connection is made, and after its end is so no more: then what was known counts. */
  #bytesOf(socket: Socket): bigint {
    const port = socket.remotePort ?? this.#lastPorts.get(socket);
    if (port === undefined || !this.#ports.has(port)) return 0n;
    this.#lastPorts.set(socket, port);
    return BigInt(socket.bytesWritten - queuedOf(socket));
  }

  readonly #lastPorts = new WeakMap<Socket, number>();
}

/**
 * Bytes that `bytesWritten` counts and that wait for the system to take them. Node tells of them on the handle alone; where
 * it does not they count as written.
 */
function queuedOf(socket: Socket): number {
  if (socket.destroyed) return 0;
  const { _handle: handle } = socket as { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return handle?.writeQueueSize ?? 0;
}
