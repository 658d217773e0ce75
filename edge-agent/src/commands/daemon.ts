import {
  requireName,
  TributaryError,
  type FeatureFit,
  type ModelManifest,
  type StreamPipeline,
} from '@tributary/proto';

import { openDataDirectory, socketPath, type DataDirectory } from '../adapters/files/data-directory.js';
import { policyFile } from '../adapters/files/policy-file.js';
import { serveHealth } from '../adapters/grpc/health.js';
import {
  servePagesOnPort,
  servePagesOnSocket,
  type LocalServer,
  type Page,
} from '../adapters/http/local-server.js';
import { createLog } from '../adapters/logs/pino-log.js';
import { systemClock } from '../adapters/system/clock.js';
import { processMetrics } from '../adapters/system/process-metrics.js';
import { systemRandom } from '../adapters/system/random.js';
import { SocketMeter } from '../adapters/tls/socket-meter.js';
import { certificateReader, tlsKeyMaker } from '../adapters/tls/tls-keys.js';
import { Agent } from '../app/agent.js';
import type { DutyPlan } from '../app/duty.js';
import { EgressCounter } from '../app/egress-counter.js';
import { requireEnrolment } from '../app/enrolment-record.js';
import { siteFitsOf } from '../app/feature-fits.js';
import type { Log } from '../app/log.js';
import type { PolicySource } from '../app/policy-source.js';
import { predictionMetrics } from '../app/prediction-metrics.js';
import { metricsOf, type FullStatus } from '../app/status.js';
import { pipelineMetrics } from '../app/streams/pipeline-metrics.js';
import { describeUnexpected } from '../app/unexpected.js';
import { versionKey } from '../app/version-key.js';
import { workMetrics } from '../app/work-metrics.js';
import type { ReplicaConfig } from '../config.js';
import { encodeSiteFits } from '../app/site-fits.js';
import type { Clock } from '../ports.js';
import { createDialer } from './coordinator-dialer.js';
import { deskActions } from './desk-actions.js';
import { identityText } from './identity.js';
import { readPipelines } from './pipeline-files.js';
import { openPipelines, type PipelinesRuntime } from './pipelines.js';
import { openServing, type ServingRuntime } from './serving.js';

/** What a duty may use of the process that is being started. */
export interface DaemonParts {
  readonly data: DataDirectory;
  /** 32 bytes of this data directory; see versionKey. */
  readonly key: Uint8Array;
  readonly policy: PolicySource;
  readonly egress: EgressCounter;
  readonly sockets: SocketMeter;
  readonly clock: Clock;
  readonly log: Log;
}

/** What tells one process of a site from another. */
export interface DaemonWork {
  readonly clock?: Clock;
  /** Called when the data directory is open. */
  duty(parts: DaemonParts): DutyPlan;
  /** Looks at the pipelines before anything is opened. Throws CONFIG_INVALID where the process must not run one. */
  admit(pipelines: readonly StreamPipeline[]): void;
  /** What the site scales for itself in rows of a model; undefined where it learnt nothing of it. */
  siteFit(parts: DaemonParts, manifest: ModelManifest): Promise<FeatureFit | undefined>;
  /** Called when everything else has ended. */
  close(): Promise<void>;
}

/** Runs a process of a site until it is told to stop. */
export async function runDaemon(config: ReplicaConfig, work: (log: Log) => DaemonWork): Promise<void> {
  const log = createLog(config.logLevel);
  const data = await openDataDirectory(config.dataDir, config.sealKeyFile, (directory) =>
    log.warn({ directory }, 'another build wrote to the state; it is counted anew, as it is'),
  );
  const open = work(log);
  const sockets = new SocketMeter();
  const clock = open.clock ?? systemClock;
  try {
    await serve(config, open, {
      data,
      key: await versionKey(data.store, systemRandom),
      policy: policyFile(config.policyPath),
      egress: await EgressCounter.open({ ...data, sockets, clock }),
      sockets,
      clock,
      log,
    });
  } catch (error) {
    if (TributaryError.from(error).code === 'INTERNAL')
      log.error(describeUnexpected(error), 'unexpected error');
    throw error;
  } finally {
    await open.close();
    await data.close();
  }
}

async function serve(config: ReplicaConfig, work: DaemonWork, parts: DaemonParts): Promise<void> {
  const { data, egress, sockets, log } = parts;
  const documents = await readPipelines(config);
  work.admit(documents);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, onSignal);
  const siteFit = (manifest: ModelManifest) => work.siteFit(parts, manifest);
  const runtime = await openServing({ ...parts, config, siteFit });
  const servers: Pick<LocalServer, 'close'>[] = [];
  let pipelines: PipelinesRuntime | undefined;
  try {
    const agent = await Agent.open(
      {
        ...parts,
        store: data.store,
        decisionLines: data.decisionLines,
        downloads: data.downloads,
        dialer: await createDialer(config, egress, sockets),
        keys: tlsKeyMaker,
        certificates: certificateReader,
        models: runtime.models,
        serving: runtime.serving,
        random: systemRandom,
      },
      work.duty(parts),
    );
    pipelines = await openPipelines({ ...parts, config, documents, ...runtime });
    servers.push(...(await openServers(config, { agent, data, runtime, pipelines, stop: onSignal })));
    if (config.healthPort !== undefined)
      servers.push(await serveHealth(config.healthHost, config.healthPort, stop.signal));
    await agent.run(stop.signal);
    log.info({}, 'stopped');
  } finally {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.removeListener(signal, onSignal);
    await Promise.all(servers.map((server) => server.close()));
    await pipelines?.close();
    await runtime.close();
  }
}

interface OpenedDaemon {
  readonly agent: Agent;
  readonly data: DataDirectory;
  readonly runtime: ServingRuntime;
  readonly pipelines: PipelinesRuntime;
  /** Ends the process in good order. */
  readonly stop: () => void;
}

async function openServers(
  { dataDir, metricsPort }: ReplicaConfig,
  { agent, data: { store }, runtime: { predictor }, pipelines, stop }: OpenedDaemon,
): Promise<readonly LocalServer[]> {
  const full = (): FullStatus => ({ ...agent.status(), pipelines: pipelines.status() });
  const status: Page = { contentType: 'application/json', body: () => `${JSON.stringify(full())}\n` };
  const metrics: Page = {
    contentType: 'text/plain; version=0.0.4',
    body: () => {
      const known = agent.status();
      return [
        processMetrics(),
        metricsOf(known),
        agent.work === undefined ? '' : workMetrics(agent.work, known.rounds),
        predictionMetrics(predictor.figures()),
        pipelineMetrics(pipelines.status()),
      ].join('');
    },
  };
  const identity: Page = { contentType: 'application/json', body: () => identityText(agent.identity()) };
  const pages = { '/status': status, '/metrics': metrics, '/identity': identity };
  const actions = {
    'POST /rollback': async (query: URLSearchParams): Promise<string> =>
      JSON.stringify(await agent.rollback(requireName(query.get('model') ?? '', 'model'))),
    'POST /drain': async (): Promise<string> => {
      await pipelines.drain();
      // Whoever asked hears of it before the socket is closed.
      setImmediate(stop);
      return '{}';
    },
    'POST /fits': async (): Promise<string> => {
      const { site } = await requireEnrolment(store);
      return encodeSiteFits({ site, fits: await siteFitsOf(store) });
    },
    ...deskActions(agent),
  } as const;
  const servers = [await servePagesOnSocket(socketPath(dataDir), pages, actions)];
  if (metricsPort !== undefined) servers.push(await servePagesOnPort(metricsPort, { '/metrics': metrics }));
  return servers;
}
