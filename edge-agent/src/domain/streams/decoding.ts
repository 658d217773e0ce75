import { LIMITS, sha256Hex, type Cell, type StreamPipelineSpec } from '@tributary/proto';

import { fault, isFault, type Fault } from './fault.js';
import { contentId, idOf } from './identity.js';
import { fhirReader } from './payload/fhir-observation.js';
import type { Extract, PayloadReader, StreamMessage } from './payload/message.js';
import { packedReader } from './payload/packed-payload.js';
import { structuredReader } from './payload/structured-payload.js';
import type { Run } from './run.js';
import { compileText, isLabel } from './text-rendering.js';
import { compileTopics, type Captures } from './topic-matching.js';

/** A record or samples of one key. */
export interface StreamItem {
  readonly key: string;
  readonly run: Run;
  /** The message knows itself by an id or its own time: the same again is a repetition, whatever the broker says. */
  readonly identified: boolean;
  /** The run lies where it arrived: it may be moved to where the one before ended. */
  readonly arrived: boolean;
  /** Of topic, payload, id, time and position: the same for a repeated message. */
  readonly content: string;
}

/** Reads messages of a pipeline: several items where a payload lists records. Never throws, whatever the bytes. */
export type MessageDecoder = (message: StreamMessage) => readonly StreamItem[] | Fault;

/** Compiles topics, payload and key of a pipeline that parseStreamPipeline has checked. */
export function compileDecoder(spec: StreamPipelineSpec): MessageDecoder {
  const match = compileTopics(spec.source.topics);
  const read = readerOf(spec);
  const key = compileText(spec.key);
  const wanted = labelNames(spec);

  function item(
    message: StreamMessage,
    captures: Captures,
    extract: Extract,
    content: string,
  ): StreamItem | Fault {
    const { id, arrived, startMs, periodMs, count, columns } = extract;
    const labels = labelsOf(wanted, captures, extract);
    if (isFault(labels)) return labels;
    const keyText = key.render(labels);
    if (isFault(keyText)) return keyText;
    if (keyText.length > LIMITS.streamKeyLength) return fault('NoKey');
    const identified = id !== undefined || !arrived;
    // Equal messages that know neither id nor time are different ones, told apart by when they came.
    const identity = identified ? content : idOf({ content, arrivalMs: message.arrivalMs });
    const run: Run = { startMs, periodMs, first: 0, count, columns, labels, identity };
    return { key: keyText, run, identified, arrived, content };
  }

  return (message) => {
    const captures = match(message.topic);
    if (captures === undefined) return fault('UnknownTopic');
    if (message.payload.length > LIMITS.streamPayloadBytes) return fault('TooLarge');
    if (!message.topic.isWellFormed()) return fault('UnknownTopic');
    const extracts = read(message, captures);
    if (isFault(extracts)) return extracts;
    const digest = sha256Hex(message.payload);
    const items: StreamItem[] = [];
    for (const [position, extract] of extracts.entries()) {
      const { id, arrived, startMs } = extract;
      // A time may stand beside the payload: a flat line is the same bytes again and again.
      const time = arrived ? null : startMs;
      const content = contentId({ topic: message.topic, digest, id, position, time });
      const made = item(message, captures, extract, content);
      if (isFault(made)) return made;
      items.push(made);
    }
    return items;
  };
}

function readerOf({ payload }: StreamPipelineSpec): PayloadReader {
  switch (payload.type) {
    case 'Json':
    case 'Cbor':
      return structuredReader(payload);
    case 'Samples':
      return packedReader(payload);
    case 'FhirObservation':
      return fhirReader(payload);
  }
}

interface LabelNames {
  /** Of the key and of topics: captures, or columns of a record. */
  readonly rendered: readonly string[];
  /** Captures, and attributes of samples, that rows are made of. */
  readonly reduced: readonly string[];
}

/** Names whose values travel with a run. */
function labelNames({ key, result, alerts, window }: StreamPipelineSpec): LabelNames {
  const templates = [key, result.topic, ...alerts.map(({ topic }) => topic)];
  const rendered = [...new Set(templates.flatMap((template) => compileText(template).names))];
  return { rendered, reduced: window.type === 'Record' ? [] : window.reduce.map(({ from }) => from) };
}

function labelsOf(
  { rendered, reduced }: LabelNames,
  captures: Captures,
  { columns, attributes = {} }: Extract,
): Readonly<Record<string, string>> | Fault {
  const labels: Record<string, string> = {};
  for (const name of reduced) {
    const value = own(captures, name) ?? own(attributes, name);
    if (typeof value === 'string') labels[name] = value;
  }
  for (const name of rendered) {
    const cell = own(captures, name) ?? own(attributes, name) ?? onlyCell(own(columns, name));
    if (typeof cell !== 'string' && typeof cell !== 'number') continue;
    const text = String(cell);
    if (!isLabel(text)) return fault('NoKey', name);
    labels[name] = text;
  }
  return labels;
}

const onlyCell = (cells: readonly Cell[] = []): Cell => (cells.length === 1 ? cells[0] : undefined);

function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
