import { chmod, rm, stat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join, resolve } from 'node:path';

import { TributaryError, type TunnelEnd } from '@tributary/proto';
import { makeDirectory } from '@tributary/proto/node';

import { openTunnel, type TunnelRoute } from './outer-tls.js';

interface Listening {
  readonly server: Server;
  readonly path: string;
}

/**
 * Sockets of this user alone, behind which each connection is a tunnel: grpc-js dials addresses, and knows no other way to be
 * given a connection. They keep no process alive.
 */
export class TunnelRelay {
  readonly #route: () => Promise<TunnelRoute>;
  readonly #folder: string;
  readonly #listening = new Map<TunnelEnd, Promise<Listening>>();

  /** `route` is asked for each connection: its password may have changed. `folder` is this process's own; made where it is missing. */
  constructor(route: () => Promise<TunnelRoute>, folder: string) {
    this.#route = route;
    this.#folder = resolve(folder);
  }

  /** Path of the Unix socket that leads to a listener. Rejects with CONFIG_INVALID where there can be none. */
  async path(end: TunnelEnd): Promise<string> {
    const opened = this.#present(end, this.#listening.get(end));
    this.#listening.set(end, opened);
    return (await opened).path;
  }

  /** What listens already, unless it failed or somebody removed its socket. */
  async #present(end: TunnelEnd, before: Promise<Listening> | undefined): Promise<Listening> {
    const known = await before?.catch(() => undefined);
    if (known !== undefined && (await isSocket(known.path))) return known;
    known?.server.close();
    return this.#listen(end);
  }

  async #listen(end: TunnelEnd): Promise<Listening> {
    const path = join(this.#folder, `${end}.sock`);
    const server = createServer((socket) => {
      this.#carry(end, socket).catch(() => socket.destroy());
    });
    try {
      await makeDirectory(this.#folder);
      // A socket that a dead process left.
      await rm(path, { force: true });
      await new Promise<void>((listening, reject) => {
        server.on('error', reject).listen(path, listening);
      });
      await chmod(path, 0o600);
    } catch (cause) {
      server.close();
      throw new TributaryError('CONFIG_INVALID', `tunnel: cannot listen on ${path}`, { cause });
    }
    server.unref();
    return { server, path };
  }

  async #carry(end: TunnelEnd, socket: Socket): Promise<void> {
    socket.on('error', () => socket.destroy());
    const tunnel = await openTunnel(end, await this.#route());
    if (socket.destroyed) tunnel.destroy();
    tunnel.on('error', () => socket.destroy());
    tunnel.once('close', () => socket.destroy());
    socket.once('close', () => tunnel.destroy());
    socket.pipe(tunnel).pipe(socket);
  }
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isSocket();
  } catch {
    return false;
  }
}
