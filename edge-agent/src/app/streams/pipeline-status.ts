import type { StreamPipeline, TributaryError } from '@tributary/proto';

import type { LoadedModel } from '../../serving-ports.js';
import type { BrokerStatus, MessageSink, MessageSource } from '../../streams-ports.js';
import type { PipelineFigures } from './figures.js';

/** What `tributary-agent status` shows of a pipeline. */
export interface PipelineStatus extends PipelineFigures {
  readonly name: string;
  /**
   * Running; Waiting for what `reason` says, which may be a broker, a model, or the disk; Draining: it answers what the
   * broker has for it, and takes nothing new; Failed: it ended, and the agent must be started again.
   */
  readonly state: 'Running' | 'Waiting' | 'Draining' | 'Failed';
  readonly reason: { readonly code: string; readonly detail: string } | null;
  readonly broker: string;
  /** Null where results carry rows. */
  readonly model: string | null;
  /** The version that answers; null where none does. */
  readonly version: number | null;
  readonly keys: number;
  /** Messages, and bytes of them, that are read and not done with. */
  readonly outstanding: number;
  readonly outstandingBytes: number;
  /** Messages that were too large to read. */
  readonly refused: number;
  /** Messages that the broker does not have yet. */
  readonly unpublished: number;
}

export interface PipelineSources {
  readonly pipeline: StreamPipeline;
  readonly source: Pick<MessageSource, 'status' | 'refused'>;
  readonly sink: Pick<MessageSink, 'status' | 'queued'>;
  readonly models: readonly LoadedModel[];
  readonly failure: TributaryError | undefined;
  readonly draining: boolean;
  readonly waits: TributaryError | undefined;
  readonly keys: number;
  readonly outstanding: { readonly messages: number; readonly bytes: number };
  readonly figures: PipelineFigures;
}

export function describePipeline(sources: PipelineSources): PipelineStatus {
  const { pipeline, source, sink, models, failure, keys, outstanding, figures } = sources;
  const { metadata, spec } = pipeline;
  const reason = failure ?? sources.waits ?? errorOf(source.status) ?? errorOf(sink.status);
  const connected = source.status.state === 'Connected' && source.status.subscribed;
  const serving = models.find(({ name, active }) => active && name === spec.model?.name);
  return {
    name: metadata.name,
    state: stateOf(sources, reason, connected),
    reason: reason === undefined ? null : { code: reason.code, detail: reason.message },
    broker: spec.source.broker,
    model: spec.model?.name ?? null,
    version: serving?.version ?? null,
    keys,
    outstanding: outstanding.messages,
    outstandingBytes: outstanding.bytes,
    refused: source.refused,
    unpublished: sink.queued,
    ...figures,
  };
}

function stateOf(
  { failure, draining }: Pick<PipelineSources, 'failure' | 'draining'>,
  reason: TributaryError | undefined,
  connected: boolean,
): PipelineStatus['state'] {
  if (failure !== undefined) return 'Failed';
  if (draining) return 'Draining';
  return reason === undefined && connected ? 'Running' : 'Waiting';
}

const errorOf = (status: BrokerStatus): TributaryError | undefined =>
  status.state === 'Waiting' ? status.error : undefined;
