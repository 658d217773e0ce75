import { FAULT_REASONS } from '../../domain/streams/fault.js';
import { metric } from '../status.js';
import type { PipelineStatus } from './pipeline-status.js';

/** A counter without a zero has no first increase. */
const NO_DEAD_LETTERS = Object.fromEntries(FAULT_REASONS.map((reason) => [reason, 0]));

type Sample = readonly [labels: string, value: number];

/** The figures of pipelines for Prometheus (text format 0.0.4). */
export function pipelineMetrics(pipelines: readonly PipelineStatus[]): string {
  if (pipelines.length === 0) return '';
  const each = (value: (status: PipelineStatus) => number): readonly Sample[] =>
    pipelines.map((status) => [`{pipeline="${status.name}"}`, value(status)]);
  const split = (label: string, of: (status: PipelineStatus) => object): readonly Sample[] =>
    pipelines.flatMap((status) =>
      Object.entries(of(status)).map(([name, value]): Sample => [
        `{pipeline="${status.name}",${label}="${name}"}`,
        Number(value),
      ]),
    );
  const name = (suffix: string): string => `tributary_agent_stream_${suffix}`;
  const counter = (suffix: string, help: string, samples: readonly Sample[]): string[] =>
    metric(name(suffix), 'counter', help, samples);
  const gauge = (suffix: string, help: string, samples: readonly Sample[]): string[] =>
    metric(name(suffix), 'gauge', help, samples);
  const running = each(({ state }) => (state === 'Running' ? 1 : 0));
  return [
    ...gauge('running', 'Whether the pipeline reads and answers.', running),
    ...counter(
      'messages_total',
      'Messages read.',
      each((of) => of.messages),
    ),
    ...counter(
      'redelivered_total',
      'Messages that the broker may have delivered before.',
      each((of) => of.redelivered),
    ),
    ...counter(
      'completed_total',
      'Messages that are done with.',
      each((of) => of.completed),
    ),
    ...counter(
      'refused_total',
      'Messages too large to read.',
      each((of) => of.refused),
    ),
    ...counter(
      'results_total',
      'Results published.',
      each((of) => of.results),
    ),
    ...counter(
      'alerts_total',
      'Alerts raised or cleared.',
      each((of) => of.alerts),
    ),
    ...counter(
      'batches_total',
      'Batches.',
      each((of) => of.batches),
    ),
    ...counter(
      'skipped_points_total',
      'Samples or records that changed nothing.',
      split('reason', (of) => of.skipped),
    ),
    ...counter(
      'dead_letters_total',
      'Messages that could not be used.',
      split('reason', (of) => ({ ...NO_DEAD_LETTERS, ...of.deadLetters })),
    ),
    ...counter(
      'state_writes_total',
      'Writes of the state of keys.',
      each((of) => of.writes),
    ),
    ...gauge(
      'outstanding_messages',
      'Messages read and not done with.',
      each((of) => of.outstanding),
    ),
    ...gauge(
      'outstanding_bytes',
      'Bytes of them.',
      each((of) => of.outstandingBytes),
    ),
    ...gauge(
      'unpublished_messages',
      'Messages that the broker does not have yet.',
      each((of) => of.unpublished),
    ),
    ...gauge(
      'keys',
      'Keys whose state is held.',
      each((of) => of.keys),
    ),
    ...metric(
      name('latency_seconds'),
      'summary',
      'From arrival to publishing, quantiles over the newest results.',
      quantiles(pipelines),
    ),
    '',
  ].join('\n');
}

const quantiles = (pipelines: readonly PipelineStatus[]): readonly Sample[] =>
  pipelines.flatMap(({ name, p50Ms, p99Ms }) =>
    p50Ms === null || p99Ms === null
      ? []
      : [
          [`{pipeline="${name}",quantile="0.5"}`, p50Ms / 1_000] as const,
          [`{pipeline="${name}",quantile="0.99"}`, p99Ms / 1_000] as const,
        ],
  );
