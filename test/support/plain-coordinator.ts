import { Server, ServerCredentials } from '@grpc/grpc-js';
import { fleetDefinition } from '@tributary/coordinator/internal/adapters/grpc/blob-messages.js';
import { Callers } from '@tributary/coordinator/internal/adapters/grpc/caller.js';
import { Calls } from '@tributary/coordinator/internal/adapters/grpc/calls.js';
import { Concurrency } from '@tributary/coordinator/internal/adapters/grpc/concurrency.js';
import { AgentStreams } from '@tributary/coordinator/internal/adapters/grpc/fleet-connect.js';
import { fleetService } from '@tributary/coordinator/internal/adapters/grpc/fleet-service.js';
import { agentLedger, ledgerService } from '@tributary/coordinator/internal/adapters/grpc/ledger-service.js';
import { addService } from '@tributary/coordinator/internal/adapters/grpc/listener.js';
import { Sessions } from '@tributary/coordinator/internal/adapters/grpc/sessions.js';
import { createLog } from '@tributary/coordinator/internal/adapters/logs/log.js';
import { Training } from '@tributary/coordinator/internal/app/training.js';
import { openCore, type Core } from '@tributary/coordinator/internal/commands/core.js';
import type { Clock } from '@tributary/coordinator/internal/ports.js';
import { Ledger, serverOptions } from '@tributary/proto/grpc';

/** Fleet ports of a coordinator without TLS, by another clock: whoever calls one is taken for its agent. */
export interface PlainCoordinator {
  readonly core: Core;
  /** By the ids of the agents. */
  readonly addresses: ReadonlyMap<string, string>;
  stop(): Promise<void>;
}

export async function servePlain(
  data: string,
  agentIds: readonly string[],
  clock: Clock,
): Promise<PlainCoordinator> {
  const core = await openCore({ data, sealKeyFile: undefined, onFault: () => undefined, clock });
  const { federation, cosignatures, stores, modelSigner, random } = core;
  const { log } = createLog({ level: 'fatal' });
  const training = await Training.start({ federation, ...stores, modelSigner, clock, random, log });
  const federationId = federation.state.federation?.federationId ?? '';
  const callers = new Callers(federation, clock, new Sessions());
  const streams = new AgentStreams({ federation, cosignatures, agents: training.agents, callers, clock });
  const observer = { received: () => undefined, sent: () => undefined };
  const servers = agentIds.map((agentId) => {
    const keyDigest = federation.state.agents.get(agentId)?.keyDigests.at(-1);
    if (keyDigest === undefined) throw new Error(`the federation has no agent ${agentId}`);
    const calls = new Calls(log, { call: () => undefined }, () => ({
      kind: 'agent',
      name: agentId,
      federationId,
      keyDigest,
      expiresAtMs: Number.MAX_SAFE_INTEGER,
    }));
    const server = new Server(serverOptions());
    const { uploads, stages, blobs } = training;
    const fleet = fleetService({ uploads, stages, blobs, streams, callers, calls, observer });
    addService(server, fleetDefinition, fleet);
    const reader = agentLedger(callers, federation);
    const readings = new Concurrency('readings', 16, 16);
    addService(server, Ledger.service, ledgerService({ federation, cosignatures, calls, readings, reader }));
    return { agentId, server };
  });
  const addresses = new Map<string, string>();
  for (const { agentId, server } of servers)
    addresses.set(agentId, `127.0.0.1:${String(await bind(server))}`);
  return {
    core,
    addresses,
    stop: async () => {
      await training.stop();
      for (const { server } of servers) server.forceShutdown();
      await core.close();
    },
  };
}

const bind = (server: Server): Promise<number> =>
  new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
