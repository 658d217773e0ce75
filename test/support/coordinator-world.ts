import { join } from 'node:path';
import { Writable } from 'node:stream';

import type { Client } from '@grpc/grpc-js';
import { Daemon } from '@tributary/coordinator/internal/commands/daemon.js';
import { init } from '@tributary/coordinator/internal/commands/init.js';
import { createLog } from '@tributary/coordinator/internal/adapters/logs/log.js';
import { loadServeConfig } from '@tributary/coordinator/internal/config.js';
import { decodeJoinToken, type JoinToken } from '@tributary/proto';
import { Admin, type AdminClient, type AdminDefinition } from '@tributary/proto/grpc';

import { adminClient, call, type Reachable } from './channels.js';
import type { Addresses } from './federation.js';
import { drawPeerKeys, FleetPeer, type PeerKeys } from './fleet-peer.js';
import { temporaryDirectory, type TemporaryDirectory } from './temporary-directory.js';

const PORTS = ['fleet', 'enrol', 'admin', 'health', 'metrics'] as const;

/** A coordinator inside the test's own process, on real sockets: fast to start, and its log lines can be read. */
export class CoordinatorWorld implements Reachable {
  readonly directory: TemporaryDirectory;
  readonly lines: string[] = [];
  readonly #clients: { close(): void }[] = [];
  #daemon: Daemon | undefined;
  #addresses: Addresses | undefined;
  #admin: AdminClient | undefined;

  private constructor(directory: TemporaryDirectory) {
    this.directory = directory;
  }

  static async start(): Promise<CoordinatorWorld> {
    const world = new CoordinatorWorld(await temporaryDirectory());
    const { data, contextFile } = world;
    await init({
      data,
      name: 'trial',
      hosts: ['127.0.0.1'],
      sealKeyFile: undefined,
      contextFile,
      ifAbsent: false,
      home: world.directory.path,
      print: () => undefined,
    });
    await world.serve();
    return world;
  }

  get data(): string {
    return join(this.directory.path, 'coordinator');
  }

  get contextFile(): string {
    return join(this.directory.path, 'operator.yaml');
  }

  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error('the coordinator does not run');
    return this.#daemon;
  }

  addresses(): Promise<Addresses> {
    return Promise.resolve(this.daemon.addresses);
  }

  /** Starts the daemon, again on the ports that it had. */
  async serve(): Promise<void> {
    const destination = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.lines.push(chunk.toString());
        done();
      },
    });
    const ports = PORTS.map((name): [string, string] => [
      `${name}Port`,
      this.#addresses?.[name].split(':').at(-1) ?? '0',
    ]);
    const config = loadServeConfig(
      { data: this.data, listen: '127.0.0.1', ...Object.fromEntries(ports) },
      {},
    );
    this.#daemon = await Daemon.start(config, createLog({ level: 'debug', destination }));
    this.#addresses = this.#daemon.addresses;
    this.#admin = this.keep(await adminClient(this));
  }

  /** Closes a client with the world. */
  keep<C extends { close(): void }>(client: C): C {
    this.#clients.push(client);
    return client;
  }

  get client(): AdminClient {
    if (this.#admin === undefined) throw new Error('the coordinator does not run');
    return this.#admin;
  }

  /** A call of the admin service as the operator. */
  admin<M extends keyof AdminDefinition>(
    method: M,
    request: Parameters<typeof call<AdminDefinition, M>>[3],
    client: Client = this.client,
  ): ReturnType<typeof call<AdminDefinition, M>> {
    return call(client, Admin.service, method, request);
  }

  async invite(site: string, approve = false): Promise<JoinToken> {
    const { token } = await this.admin('CreateInvitation', { site, approve });
    return decodeJoinToken(token);
  }

  /** A member of the federation that has joined, and is approved unless told otherwise. */
  async peer(site: string, approve = true, keys?: PeerKeys): Promise<FleetPeer> {
    const token = await this.invite(site, approve);
    return this.keep(await FleetPeer.enrol(this, token, keys ?? (await drawPeerKeys())));
  }

  /** Stops the daemon; the directory stays. */
  async halt(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    await this.#daemon?.stop();
    this.#daemon = undefined;
  }

  async stop(): Promise<void> {
    await this.halt();
    await this.directory.remove();
  }
}
