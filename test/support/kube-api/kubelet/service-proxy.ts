import { connect, createServer, type Server, type Socket } from 'node:net';

import { field, listAt } from '../../kube/field.js';
import type { Api } from '../api.js';
import type { Controller } from '../controllers/loop.js';
import type { KubeObject } from '../objects.js';
import type { BridgeNetwork } from './bridge-network.js';

/** Connects the ports of Services to ready pods, in this process: a kube-proxy in user space. */
export class ServiceProxy {
  readonly #network: BridgeNetwork;
  readonly #servers = new Map<string, Server>();
  readonly #sockets = new Set<Socket>();

  constructor(network: BridgeNetwork) {
    this.#network = network;
  }

  /** Listens for every Service that there is. */
  readonly keep: Controller = async (api: Api) => {
    for (const service of api.store.list(api.kinds.named('Service'))) {
      const address = field(service, 'spec', 'clusterIP');
      if (typeof address !== 'string') continue;
      for (const port of listAt(service, 'spec', 'ports')) {
        const number = Number(field(port, 'port'));
        await this.#network.addService(address);
        await this.#listen(api, service, number, [address, number]);
        const nodePort = field(port, 'nodePort');
        // A node's ports are those of this machine's loopback.
        if (typeof nodePort === 'number') await this.#listen(api, service, number, ['127.0.0.1', nodePort]);
      }
    }
  };

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(
      [...this.#servers.values()].map((server) => new Promise((resolve) => server.close(resolve))),
    );
  }

  async #listen(
    api: Api,
    service: KubeObject,
    port: number,
    [host, at]: readonly [string, number],
  ): Promise<void> {
    const key = `${host}:${String(at)}`;
    if (this.#servers.has(key)) return;
    const server = createServer((socket) => this.#relay(socket, endpointOf(api, service, port)));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(at, host, resolve);
    });
    this.#servers.set(key, server);
  }

  #relay(socket: Socket, to: readonly [string, number] | undefined): void {
    if (to === undefined) {
      socket.resetAndDestroy();
      return;
    }
    const other = connect(to[1], to[0]);
    for (const [one, peer] of [
      [socket, other],
      [other, socket],
    ] as const) {
      this.#sockets.add(one);
      one.setNoDelay(true);
      one.on('error', () => peer.destroy());
      one.once('close', () => {
        this.#sockets.delete(one);
        peer.destroy();
      });
      one.pipe(peer);
    }
  }
}

/** A ready pod behind a port of a Service. */
function endpointOf(api: Api, { metadata }: KubeObject, port: number): readonly [string, number] | undefined {
  const service = api.store.get(api.kinds.named('Service'), metadata.namespace, metadata.name);
  const name = field(
    listAt(service, 'spec', 'ports').find((one) => field(one, 'port') === port),
    'name',
  );
  const endpoints = api.store.get(api.kinds.named('Endpoints'), metadata.namespace, metadata.name);
  const [subset] = listAt(endpoints, 'subsets');
  const target = listAt(subset, 'ports').find((one) => field(one, 'name') === name);
  const address = field(subset, 'addresses', 0, 'ip');
  return typeof address === 'string' && target !== undefined
    ? [address, Number(field(target, 'port'))]
    : undefined;
}
