import { createHmac } from 'node:crypto';

import { parseTopicTemplate, topicFilter, TributaryError, type StreamPipeline } from '@tributary/proto';

import type { DataDirectory } from '../adapters/files/data-directory.js';
import { MqttSink } from '../adapters/mqtt/mqtt-sink.js';
import { MqttSource } from '../adapters/mqtt/mqtt-source.js';
import { systemRandom } from '../adapters/system/random.js';
import type { Log } from '../app/log.js';
import { LetterBox } from '../app/streams/letter-box.js';
import { PipelineRunner } from '../app/streams/pipeline-runner.js';
import type { PipelineStatus } from '../app/streams/pipeline-status.js';
import type { BrokerConfig } from '../broker-config.js';
import type { AgentConfig } from '../config.js';
import type { Clock } from '../ports.js';
import type { PredictionLogs, Predictor } from '../serving-ports.js';
import type { StreamStateStore, Subscription } from '../streams-ports.js';

export interface PipelinesParts {
  readonly config: Pick<AgentConfig, 'brokers'>;
  readonly data: Pick<DataDirectory, 'openStreams' | 'openLetters'>;
  /** 32 bytes of the site, which tell this agent from every other. */
  readonly key: Uint8Array;
  /** As readPipelines gives them. */
  readonly documents: readonly StreamPipeline[];
  readonly predictor: Predictor;
  readonly predictions: PredictionLogs;
  readonly clock: Clock;
  readonly log: Log;
}

/** The pipelines of the agent at work. */
export interface PipelinesRuntime {
  status(): readonly PipelineStatus[];
  /** Ends all sessions at the brokers once everything in them is answered; see PipelineRunner. */
  drain(): Promise<void>;
  /** Answers what was read within LIMITS.drainMs; the rest stays with the brokers. */
  close(): Promise<void>;
}

/** Starts every pipeline; brokers and models that are not there yet are waited for. */
export async function openPipelines(parts: PipelinesParts): Promise<PipelinesRuntime> {
  if (parts.documents.length === 0)
    return { status: () => [], drain: () => Promise.resolve(), close: () => Promise.resolve() };
  const states = await parts.data.openStreams();
  const opened: Opened[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(opened.splice(0).map((one) => one.close()));
    await states.close();
  };
  try {
    for (const pipeline of parts.documents) opened.push(await openPipeline(parts, pipeline, states));
    for (const { runner } of opened) await runner.start();
  } catch (error) {
    await close();
    throw error;
  }
  const runners = opened.map(({ runner }) => runner);
  return {
    status: () => runners.map((runner) => runner.status()),
    drain: async () => {
      await Promise.all(runners.map((runner) => runner.drain()));
    },
    close,
  };
}

interface Opened {
  readonly runner: PipelineRunner;
  close(): Promise<void>;
}

async function openPipeline(
  { config, data, key, predictor, predictions, clock, log }: PipelinesParts,
  pipeline: StreamPipeline,
  states: StreamStateStore,
): Promise<Opened> {
  const { metadata, spec } = pipeline;
  const broker = config.brokers.find(({ name }) => name === spec.source.broker);
  if (broker === undefined)
    throw new TributaryError('INTERNAL', 'a pipeline names a broker that agent.yaml does not');
  const decisions = await predictions.open(metadata.name, spec.decisions);
  const letters = await LetterBox.open(await data.openLetters(metadata.name), spec.deadLetter.keepBytes, log);
  const mqtt = { clock, random: systemRandom, log };
  const subscription = subscriptionOf(spec);
  const clientId = clientIdOf(broker, pipeline, key);
  const runner = new PipelineRunner({
    pipeline,
    source: new MqttSource({ broker, clientId, subscription }, mqtt),
    sink: new MqttSink({ broker, clientId: `${clientId}-out` }, mqtt),
    userProperties: broker.protocol === 'V5',
    predictor,
    decisions,
    states,
    letters,
    clock,
    random: systemRandom,
    log,
  });
  const close = async (): Promise<void> => {
    await runner.close();
    await decisions.close();
  };
  return { runner, close };
}

function subscriptionOf({ source }: StreamPipeline['spec']): Subscription {
  const filters = source.topics.map((template) => {
    const levels = parseTopicTemplate(template);
    if (typeof levels === 'string') throw new TributaryError('INTERNAL', 'a checked topic is no template');
    return topicFilter(levels);
  });
  return {
    topics: [...new Set(filters)],
    qos: source.qos === 0 ? 0 : 1,
    ...(source.share !== undefined && { share: source.share }),
  };
}

/** Hex digits that tell agents, and the subscriptions of a pipeline, apart. */
const DIGITS = 12;

/** The same at every start, of this agent and these topics alone: the broker keeps what is not acknowledged under it. */
function clientIdOf({ clientId }: BrokerConfig, { metadata, spec }: StreamPipeline, key: Uint8Array): string {
  const { topics, share = '' } = spec.source;
  const identity = JSON.stringify([metadata.name, topics, share]);
  const digits = createHmac('sha256', key).update(identity).digest('hex').slice(0, DIGITS);
  return `${clientId ?? 'tributary'}-${metadata.name}-${digits}`;
}
