import { readFile, stat } from 'node:fs/promises';

import {
  LIMITS,
  TributaryError,
  vocabularyDigest,
  type FeatureFit,
  type ModelManifest,
} from '@tributary/proto';
import { limitCallers } from '@tributary/proto/node';

import { PredictionDirectory } from '../adapters/decisions/prediction-directory.js';
import { servingSocketPath, type DataDirectory } from '../adapters/files/data-directory.js';
import { fileError } from '../adapters/files/file-error.js';
import { listenOnPort, listenOnSocket } from '../adapters/http/local-server.js';
import { WorkerPredictor } from '../adapters/inference/worker-predictor.js';
import { ModelDirectory } from '../adapters/models/model-directory.js';
import { MIN_TOKEN } from '../adapters/oip/access.js';
import type { GrpcInferenceServer, GrpcOptions } from '../adapters/oip/grpc-server.js';
import { InferenceService } from '../adapters/oip/inference-service.js';
import { restServer } from '../adapters/oip/rest-server.js';
import type { Log } from '../app/log.js';
import { ModelServing, type SiteFeatures } from '../app/model-serving.js';
import { describeUnexpected } from '../app/unexpected.js';
import type { AgentConfig } from '../config.js';
import { ENDPOINT_SOURCE } from '../domain/serving/prediction-entries.js';
import type { PolicySource } from '../app/policy-source.js';
import type { Clock } from '../ports.js';
import type { ModelStore, PredictionLogs, Predictor } from '../serving-ports.js';

export interface ServingParts {
  readonly config: Pick<AgentConfig, 'dataDir' | 'serving'>;
  readonly data: Pick<DataDirectory, 'modelsDir' | 'predictionsDir'>;
  /** 32 bytes of the site, under which digests of inputs are made. */
  readonly key: Uint8Array;
  readonly policy: PolicySource;
  /** What the site scales for itself in rows of a model; undefined where it learnt nothing of it. */
  readonly siteFit: (manifest: ModelManifest) => Promise<FeatureFit | undefined>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Everything that answers for models; streams use the same. */
export interface ServingRuntime {
  readonly predictor: Predictor;
  readonly models: ModelStore;
  readonly serving: ModelServing;
  /** Where pipelines open logs of their own. */
  readonly predictions: PredictionLogs;
  /** Port of REST and of gRPC, where they are served. */
  readonly ports: { readonly rest?: number; readonly grpc?: number };
  /** Every model of the store serves, or the log says why not. */
  readonly started: Promise<void>;
  close(): Promise<void>;
}

/** Serves the models of the store, on the Unix socket and on the ports of agent.yaml. */
export async function openServing(parts: ServingParts): Promise<ServingRuntime> {
  const { config, data, key, clock, log } = parts;
  const token = await tokenOf(config.serving.tokenFile);
  const predictor = new WorkerPredictor();
  const closers: (() => Promise<void>)[] = [() => predictor.close()];
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    const models = await ModelDirectory.open(data.modelsDir);
    const predictions = new PredictionDirectory({
      directory: data.predictionsDir,
      key,
      now: () => clock.now(),
    });
    closers.push(() => predictions.close());
    const endpointLog = await predictions.open(ENDPOINT_SOURCE, config.serving.decisions);
    const serving = new ModelServing({ models, predictor, log, site: (manifest) => siteOf(parts, manifest) });
    const onUnexpected = (error: unknown): void => {
      log.error(describeUnexpected(error), 'unexpected error');
    };
    const service = new InferenceService({
      predictor,
      log: endpointLog,
      clock,
      onLogFailure: ({ code, message }) => {
        log.warn({ code, detail: message }, 'predictions were not logged');
      },
    });
    const ports = await listen(config, { service, token, onUnexpected }, closers);
    log.info({ host: config.serving.host, ...ports }, 'predictions are answered');
    // A large model takes seconds to load: the agent does not wait for it, and readiness tells.
    const started = serving.start().catch((error: unknown) => {
      const { code, message: detail } = TributaryError.from(error);
      log.error({ code, detail }, 'the models of the site cannot be read');
    });
    return { predictor, models, serving, predictions, ports, started, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Endpoint {
  readonly service: InferenceService;
  readonly token: string | undefined;
  readonly onUnexpected: (error: unknown) => void;
}

async function listen(
  { dataDir, serving }: ServingParts['config'],
  endpoint: Endpoint,
  closers: (() => Promise<void>)[],
): Promise<ServingRuntime['ports']> {
  const { host, port, grpcPort } = serving;
  const { token: _, ...open } = endpoint;
  // Only this user opens the socket: it needs no token.
  const socket = await listenOnSocket(restServer(open), servingSocketPath(dataDir));
  closers.push(() => socket.close());
  const rest =
    port === undefined
      ? undefined
      : await listenOnPort(limitCallers(restServer(endpoint), LIMITS.predictionConnections), port, host);
  if (rest !== undefined) closers.push(() => rest.close());
  const grpc = grpcPort === undefined ? undefined : await openGrpc({ ...endpoint, host, port: grpcPort });
  if (grpc !== undefined) closers.push(() => grpc.close());
  return {
    ...(rest?.port !== undefined && { rest: rest.port }),
    ...(grpc !== undefined && { grpc: grpc.port }),
  };
}

/** The messages of the protocol are read from their file only where they are wanted: other commands start without. */
async function openGrpc(options: GrpcOptions): Promise<GrpcInferenceServer> {
  const { serveGrpc } = await import('../adapters/oip/grpc-server.js');
  return serveGrpc(options);
}

/** The fit that the site learned when the model's job trained here, and the vocabularies of its policy. */
async function siteOf({ siteFit, policy }: ServingParts, manifest: ModelManifest): Promise<SiteFeatures> {
  const fit = await siteFit(manifest);
  const wanted = manifest.features.map((feature) =>
    feature.type === 'Categorical' ? feature.vocabulary?.digest : undefined,
  );
  // Only those that the model means: datasets may have lists of the same name.
  const vocabularies = wanted.some((digest) => digest !== undefined)
    ? ((await policy.read())?.spec.datasets ?? [])
        .flatMap((rule) => rule.vocabularies)
        .filter(({ values }) => wanted.includes(vocabularyDigest(values)))
    : [];
  return { vocabularies, ...(fit && { fit }) };
}

async function tokenOf(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    const { mode } = await stat(path);
    const token = (await readFile(path, 'utf8')).trim();
    if ((mode & 0o007) !== 0) throw badToken(`${path}: other users may read it; run chmod 600 on it`);
    if (token.length < MIN_TOKEN || /\s/.test(token))
      throw badToken(`${path}: a token is one word of at least ${String(MIN_TOKEN)} characters`);
    return token;
  } catch (error) {
    throw badToken(fileError(error, path).message);
  }
}

const badToken = (detail: string): TributaryError =>
  new TributaryError('CONFIG_INVALID', `serving.tokenFile: ${detail.replace(/^serving.tokenFile: /, '')}`, {
    fields: { field: 'serving.tokenFile' },
  });
