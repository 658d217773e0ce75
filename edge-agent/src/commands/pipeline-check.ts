import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';

import {
  LIMITS,
  parseTopicTemplate,
  TributaryError,
  type Cell,
  type StreamPipeline,
  type TopicLevel,
} from '@tributary/proto';

import { fileError } from '../adapters/files/file-error.js';
import { compileDecoder, type StreamItem } from '../domain/streams/decoding.js';
import { isFault, type Fault } from '../domain/streams/fault.js';
import type { AgentConfig } from '../config.js';
import { readPipeline, readPipelines } from './pipeline-files.js';

export interface PipelineCheckFlags {
  readonly file: string;
  readonly output: string;
  /** A file with the payload of one message. */
  readonly payload?: string;
  /** What it came on; made of the first topic of the source where absent. */
  readonly topic?: string;
}

interface Checked {
  readonly text: string;
  /** Why the payload would become a dead letter. */
  readonly fault: TributaryError | undefined;
}

/**
 * `pipeline check`: what a pipeline would make of a payload. Nothing leaves the machine. Rejects with CONFIG_INVALID; with
 * `config` also for brokers and other pipelines that it does not fit.
 */
export async function pipelineCheckCommand(
  { file, output, payload, topic }: PipelineCheckFlags,
  config: Pick<AgentConfig, 'brokers' | 'pipelines'> | undefined,
  nowMs: number,
): Promise<Checked> {
  if (topic !== undefined && payload === undefined)
    throw new TributaryError('USAGE', '--topic TOPIC goes with --payload FILE');
  const pipeline = await readPipeline(file);
  if (config !== undefined) {
    const others = config.pipelines.filter((path) => resolve(path) !== resolve(file));
    await readPipelines({ brokers: config.brokers, pipelines: [...others, file] });
  }
  const json = output === 'json';
  if (payload === undefined)
    return { text: json ? asJson({ pipeline: pipeline.metadata.name }) : head(pipeline), fault: undefined };
  const message = {
    topic: topic ?? exampleTopic(pipeline),
    payload: await readPayload(payload),
    properties: {},
    arrivalMs: nowMs,
    redelivered: false,
  };
  const items = compileDecoder(pipeline.spec)(message);
  const told = { pipeline: pipeline.metadata.name, topic: message.topic };
  if (isFault(items)) {
    const { reason, field } = items;
    return {
      text: json ? asJson({ ...told, fault: { reason, field } }) : head(pipeline),
      fault: faultError(items, payload, message.topic),
    };
  }
  const text = json
    ? asJson({ ...told, items: items.map(jsonItem) })
    : head(pipeline) + itemsText(items, message.topic);
  return { text, fault: undefined };
}

const asJson = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

/** One byte more than a pipeline takes is read at most. */
async function readPayload(path: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of createReadStream(path, {
      end: LIMITS.streamPayloadBytes,
    }) as AsyncIterable<Uint8Array>)
      chunks.push(chunk);
  } catch (error) {
    throw fileError(error, path);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function faultError({ reason, field }: Fault, path: string, topic: string): TributaryError {
  const where = field === undefined ? '' : `, field ${field}`;
  const hint =
    reason === 'UnknownTopic' || reason === 'NoTime' || reason === 'NoKey'
      ? 'name the topic that it came on with --topic'
      : 'compare it with spec.payload';
  return new TributaryError(
    'INVALID_ARGUMENT',
    `${path} on ${topic} would become a dead letter: ${reason}${where}`,
    { hint },
  );
}

/** A topic that the source reads: captures stand for themselves. */
function exampleTopic({ spec }: StreamPipeline): string {
  const levels = parseTopicTemplate(spec.source.topics[0] ?? '');
  if (typeof levels === 'string') throw new TributaryError('INTERNAL', 'a checked topic is no template');
  return levels.map(exampleLevel).join('/');
}

function exampleLevel(level: TopicLevel): string {
  if (level.type === 'Text') return level.text;
  return level.type === 'Capture' ? level.name : 'any';
}

function head({ metadata, spec }: StreamPipeline): string {
  const { source, model, result } = spec;
  const by = model === undefined ? 'tells the rows' : `answers with ${model.name}`;
  return `Pipeline ${metadata.name}: reads ${source.topics.join(', ')} of broker ${source.broker} and ${by} on ${result.topic}.\n`;
}

const jsonItem = ({ key, run, identified }: StreamItem): object => {
  const { startMs, periodMs, count, columns, labels } = run;
  return { key, startMs, periodMs, count, columns, labels, identified };
};

/** Items, and samples of each column, that are shown to people; JSON has all. */
const ITEMS_SHOWN = 50;
const SAMPLES_SHOWN = 8;

function itemsText(items: readonly StreamItem[], topic: string): string {
  const keys = new Set(items.map(({ key }) => key));
  const lines = [
    `On ${topic} the payload is ${counted(items.length, 'item')} of ${counted(keys.size, 'key')}:`,
    ...items.slice(0, ITEMS_SHOWN).flatMap(itemLines),
  ];
  if (items.length > ITEMS_SHOWN) lines.push(`  and ${String(items.length - ITEMS_SHOWN)} more`);
  if (items.some(({ identified }) => !identified))
    lines.push(
      'It has neither an id nor a time of its own: after a crash the answer to a repeated message has another decisionId.',
    );
  return lines.map((line) => `${line}\n`).join('');
}

function itemLines({ key, run }: StreamItem): readonly string[] {
  const { startMs, periodMs, count, columns } = run;
  const at = new Date(startMs).toISOString();
  const cells = Object.entries(columns);
  if (periodMs === 0)
    return [`  ${key}  ${at}  ${cells.map(([name, [cell]]) => `${name}=${cellText(cell)}`).join(' ')}`];
  const every = `${counted(count, 'sample')}, one every ${String(Math.round(periodMs * 1_000) / 1_000)} ms`;
  return [`  ${key}  ${at}  ${every}`, ...cells.map(([name, list]) => `    ${name}  ${samplesText(list)}`)];
}

function samplesText(list: readonly Cell[]): string {
  const shown = list.slice(0, SAMPLES_SHOWN).map(cellText).join(' ');
  return list.length > SAMPLES_SHOWN ? `${shown} and ${String(list.length - SAMPLES_SHOWN)} more` : shown;
}

function cellText(cell: Cell): string {
  if (cell === undefined || cell === null) return 'missing';
  return JSON.stringify(cell);
}

const counted = (count: number, what: string): string => `${String(count)} ${what}${count === 1 ? '' : 's'}`;
