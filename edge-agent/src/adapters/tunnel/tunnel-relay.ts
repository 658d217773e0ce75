import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { TunnelEnd } from '@tributary/proto';

import { openTunnel, type TunnelRoute } from './outer-tls.js';

/**
 * Sockets of this user alone, behind which each connection is a tunnel: grpc-js dials addresses, and knows no other way to be
 * given a connection. They keep no process alive.
 */
export class TunnelRelay {
  readonly #route: () => Promise<TunnelRoute>;
  readonly #servers = new Map<TunnelEnd, Promise<string>>();
  #folder: string | undefined;

  /** `route` is asked for each connection: its password may have changed. */
  constructor(route: () => Promise<TunnelRoute>) {
    this.#route = route;
  }

  /** Path of the Unix socket that leads to a listener. */
  path(end: TunnelEnd): Promise<string> {
    const known = this.#servers.get(end);
    if (known !== undefined) return known;
    const opened = this.#listen(end);
    this.#servers.set(end, opened);
    return opened;
  }

  #listen(end: TunnelEnd): Promise<string> {
    const path = join(this.#own(), `${end}.sock`);
    const server: Server = createServer((socket) => {
      this.#carry(end, socket).catch(() => socket.destroy());
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        server.unref();
        resolve(path);
      });
    });
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

  /** A folder that only this user enters; it goes with the process. */
  #own(): string {
    if (this.#folder === undefined) {
      const folder = mkdtempSync(join(tmpdir(), 'tributary-tunnel-'));
      process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
      this.#folder = folder;
    }
    return this.#folder;
  }
}
