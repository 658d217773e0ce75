import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ReflectionService } from '@grpc/reflection';
import { LIMITS } from '@tributary/proto';
import { Admin, Enrolment, Ledger, packageDefinition, SERVER_NAME } from '@tributary/proto/grpc';

import { createBackup } from '../adapters/backup/backup.js';
import { formatAddress, hostOfAddress } from '../adapters/grpc/address.js';
import { ObjectViews } from '../adapters/grpc/admin/object-views.js';
import { adminService } from '../adapters/grpc/admin-service.js';
import { Callers } from '../adapters/grpc/caller.js';
import type { Calls } from '../adapters/grpc/calls.js';
import { Concurrency } from '../adapters/grpc/concurrency.js';
import { enrolmentService } from '../adapters/grpc/enrolment-service.js';
import { AgentStreams } from '../adapters/grpc/fleet-connect.js';
import { fleetDefinition } from '../adapters/grpc/blob-messages.js';
import { fleetService } from '../adapters/grpc/fleet-service.js';
import { startHealth } from '../adapters/grpc/health.js';
import { agentLedger, ledgerService, operatorLedger } from '../adapters/grpc/ledger-service.js';
import {
  addService,
  startListener,
  type Listener,
  type Security,
  type TlsListener,
} from '../adapters/grpc/listener.js';
import type { Sessions } from '../adapters/grpc/sessions.js';
import type { Metrics } from '../adapters/http/metrics.js';
import { startTunnels, type TunnelOptions } from '../adapters/tunnel/tunnel-listener.js';
import { showCertificates } from '../adapters/http/certificate-metrics.js';
import { serveMetrics } from '../adapters/http/metrics-server.js';
import type { Log } from '../adapters/logs/log.js';
import type { LogBuffer } from '../adapters/logs/log-buffer.js';
import type { Training } from '../app/training.js';
import type { ServeConfig } from '../config.js';
import type { Addresses } from './addresses.js';
import { renewCertificates } from './certificate-renewal.js';
import type { Core } from './core.js';
import { validityOf, type TlsIdentity } from './served-certificates.js';
import { readTunnelIdentity } from './tunnel-certificate.js';

/** Longest path of a Unix socket (sun_path, less the terminating zero). */
const SOCKET_PATH_BYTES = 107;

export interface ListenerParts {
  readonly config: ServeConfig;
  readonly core: Core;
  readonly training: Training;
  readonly calls: Calls;
  readonly sessions: Sessions;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly logs: LogBuffer;
}

export interface Listeners {
  readonly addresses: Addresses;
  setServing(serving: boolean): void;
  close(drainMs: number): Promise<void>;
}

/** Opens every port and the socket, or none. Rejects with CONFIG_INVALID where one is taken. */
export async function startListeners(parts: ListenerParts): Promise<Listeners> {
  const opened: { close(drainMs: number): Promise<void> }[] = [];
  const open = async <L extends { close(drainMs: number): Promise<void> }>(
    starting: Promise<L>,
  ): Promise<L> => {
    const listener = await starting;
    opened.push(listener);
    return listener;
  };
  try {
    return await openAll(parts, open, opened);
  } catch (error) {
    await Promise.all(opened.map((listener) => listener.close(0)));
    throw error;
  }
}

type Opener = <L extends { close(drainMs: number): Promise<void> }>(starting: Promise<L>) => Promise<L>;

async function openAll(
  parts: ListenerParts,
  open: Opener,
  opened: readonly { close(drainMs: number): Promise<void> }[],
): Promise<Listeners> {
  const { config, core, calls, sessions, metrics } = parts;
  const host = config.host === '' ? (core.directory.identity.names[0] ?? 'localhost') : config.host;
  const probed = config.listen === '0.0.0.0' || config.listen === '::' ? '127.0.0.1' : config.listen;
  const issue = (): Promise<TlsIdentity> => serverIdentity(core, [host, ...toldHosts(config)]);
  const own = await issue();
  const identity = { ...own, ca: core.authority.certificatePem };
  const mutual: Security = { type: 'MutualTls', identity, sessions };
  const at = (port: number): { readonly host: string; readonly port: number } => ({
    host: config.listen,
    port,
  });
  const ports = { fleet: 0, enrol: 0 };
  const services = servicesOf(
    parts,
    () => told(config.fleetAddress, host, ports.fleet),
    () => told(config.enrolAddress, host, ports.enrol),
  );
  const fleet = await open(
    startListener({
      name: 'fleet',
      at: at(config.fleetPort),
      security: mutual,
      maxConnections: LIMITS.agents,
      streams: LIMITS.streamsPerAgentConnection,
      register: services.fleet,
    }),
  );
  const enrol = await open(
    startListener({
      name: 'enrol',
      at: at(config.enrolPort),
      security: { type: 'ServerTls', identity },
      maxConnections: LIMITS.enrollingConnections,
      connectionAgeMs: LIMITS.enrollingMs,
      messageBytes: LIMITS.anonymousMessageBytes,
      streams: LIMITS.streamsPerAnonymousConnection,
      register: services.enrol,
    }),
  );
  Object.assign(ports, { fleet: fleet.port, enrol: enrol.port });
  const admin = await open(
    startListener({
      name: 'admin',
      at: at(config.adminPort),
      security: mutual,
      maxConnections: LIMITS.operatorConnections,
      register: services.admin,
    }),
  );
  const ofTunnels = config.tunnelPort === undefined ? undefined : await readTunnelIdentity(config);
  const tunnel = await startTunnel(config, ofTunnels ?? own, sessions, {
    fleet: { host: probed, port: fleet.port },
    enrol: { host: probed, port: enrol.port },
  });
  if (tunnel !== undefined) await open(Promise.resolve(tunnel));
  const socket = await open(startSocket(core.directory.paths.run, services.local));
  const health = await open(startHealth(config.listen, config.healthPort));
  const scraped = await open(serveMetrics(metrics.registry, config.listen, config.metricsPort));
  const certificates = renewCertificates({
    ...{ clock: core.clock, log: parts.log, own, issue, listeners: [fleet, enrol, admin] },
    ...{ tunnel, ofTunnels, files: config },
  });
  const authority = { name: 'authority', ...validityOf(core.authority.certificate) } as const;
  showCertificates(metrics.registry, () => [...certificates.validities(), authority]);
  return {
    addresses: {
      fleet: told(config.fleetAddress, host, fleet.port),
      enrol: told(config.enrolAddress, host, enrol.port),
      admin: told(config.adminAddress, host, admin.port),
      health: formatAddress(probed, health.port),
      ...(tunnel && { tunnel: told(config.tunnelAddress, host, tunnel.port) }),
      metrics: formatAddress(probed, scraped.port),
      socket: socket.path,
    },
    setServing: (serving) => {
      health.setServing(serving);
    },
    close: async (drainMs) => {
      certificates.stop();
      calls.stop();
      await Promise.all(opened.map((listener) => listener.close(drainMs)));
    },
  };
}

/** The listener for agents behind proxies that open TLS, where one is asked for. */
async function startTunnel(
  { tunnelPort, listen }: ServeConfig,
  identity: TlsIdentity,
  sessions: Sessions,
  ends: TunnelOptions['ends'],
): Promise<TlsListener | undefined> {
  if (tunnelPort === undefined) return undefined;
  const isMember = (port: number): boolean => sessions.isFrom(port);
  return startTunnels({ host: listen, port: tunnelPort, ...identity, isMember, ends });
}

/** What agents and operators are told to dial. */
const told = (address: string, host: string, port: number): string =>
  address === '' ? formatAddress(host, port) : address;

const toldHosts = ({
  fleetAddress,
  enrolAddress,
  adminAddress,
  tunnelAddress,
}: ServeConfig): readonly string[] =>
  [fleetAddress, enrolAddress, adminAddress, tunnelAddress]
    .filter((address) => address !== '')
    .map(hostOfAddress);

/** A fresh certificate, at every start and while the daemon runs on: none is kept. */
async function serverIdentity(
  { authority, directory }: Core,
  hosts: readonly string[],
): Promise<TlsIdentity> {
  const names = [...new Set([...hosts, ...directory.identity.names, SERVER_NAME])];
  const { chainPem, privateKeyPem } = await authority.issueServer(names);
  return { certificate: chainPem, key: privateKeyPem };
}

type Register = Parameters<typeof startListener>[0]['register'];

function servicesOf(
  { core, training, calls, sessions, metrics, logs }: ListenerParts,
  fleetAddress: () => string,
  enrolAddress: () => string,
): {
  readonly fleet: Register;
  readonly enrol: Register;
  readonly admin: Register;
  readonly local: Register;
} {
  const { federation, cosignatures, authority, clock, random, stores } = core;
  const { agents, uploads, stages, blobs } = training;
  const callers = new Callers(federation, clock, sessions);
  const readings = new Concurrency('readings of the ledger', LIMITS.readings, LIMITS.readingsPerCaller);
  const streams = new AgentStreams({ federation, cosignatures, agents, callers, clock });
  const admin = {
    federation,
    agents,
    authority,
    logs,
    callers,
    clock,
    random,
    enrolAddress,
    blobs: stores.blobs,
    backup: () => backupOf(core, () => training.spareBlobs()),
  };
  const views = new ObjectViews(federation, agents, clock);
  const reflection = new ReflectionService(packageDefinition, {
    services: ['tributary.v1.Admin', 'tributary.v1.Ledger'],
  });
  const forOperators =
    (own: Calls): Register =>
    (server) => {
      addService(server, Admin.service, adminService({ ...admin, calls: own }, views));
      addService(
        server,
        Ledger.service,
        ledgerService({ federation, cosignatures, calls: own, readings, reader: operatorLedger(callers) }),
      );
      reflection.addToServer(server);
    };
  return {
    fleet: (server) => {
      addService(
        server,
        fleetDefinition,
        fleetService({ streams, uploads, stages, blobs, callers, calls, observer: metrics }),
      );
      addService(
        server,
        Ledger.service,
        ledgerService({
          federation,
          cosignatures,
          calls,
          readings,
          reader: agentLedger(callers, federation),
        }),
      );
    },
    enrol: (server) => {
      addService(
        server,
        Enrolment.service,
        enrolmentService({ federation, authority, clock, random, calls, fleetAddress }),
      );
    },
    admin: forOperators(calls),
    local: forOperators(calls.local()),
  };
}

/** A backup of the opened directory, made while it is at work or, where nothing is to be spared, offline. */
export async function* backupOf(
  { directory, stores, federation, clock }: Core,
  spareBlobs: () => () => void = () => () => undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { paths, identity } = directory;
  yield* createBackup({
    federationId: identity.federationId,
    ledger: federation,
    blobs: stores.blobs,
    spareBlobs,
    keys: stores.vault,
    identity: await readFile(paths.identity),
    authority: await readFile(paths.authority),
    clock,
  });
}

/** The admin service for the daemon's own user. Where the directory's path is too long, the socket lies in one of its own. */
async function startSocket(run: string, register: Register): Promise<Listener & { readonly path: string }> {
  const usual = join(run, 'admin.sock');
  const isShort = Buffer.byteLength(usual) <= SOCKET_PATH_BYTES;
  const folder = isShort ? run : await mkdtemp(join(tmpdir(), 'tributary-'));
  const path = join(folder, 'admin.sock');
  const listener = await startListener({
    name: 'admin',
    at: { socketPath: path },
    security: { type: 'Plaintext' },
    maxConnections: LIMITS.operatorConnections,
    register,
  });
  return {
    port: 0,
    path,
    close: async (drainMs) => {
      await listener.close(drainMs);
      await rm(isShort ? path : folder, { recursive: true, force: true });
    },
  };
}
