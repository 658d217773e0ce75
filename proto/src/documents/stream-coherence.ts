import { pathText, quote, type Path, type Problem } from './problem.js';
import type { StreamPayloadSpec } from './stream-payload.js';
import type { StreamAlertSpec, StreamPipelineSpec } from './stream-pipeline.js';
import type { StreamWindowSpec } from './stream-window.js';
import { parseTextTemplate, templateNames } from './text-template.js';
import {
  parseTopicTemplate,
  publishedLevels,
  topicCaptures,
  topicsOverlap,
  type TopicLevel,
} from './topic-template.js';

/** Windows that one sample lies in at most: each is held, and answered. */
const MOST_OVERLAP = 100;

/** What is wrong between the fields of a pipeline whose fields are each right by themselves. */
export function streamProblems(spec: StreamPipelineSpec): Problem[] {
  const sources = spec.source.topics.map(parseTopicTemplate);
  const broken = sources.flatMap((source, index) => {
    const problem = sourceProblem(source);
    return problem === undefined ? [] : [{ path: ['spec', 'source', 'topics', index], ...problem }];
  });
  if (broken.length > 0) return broken;
  const templates = sources.filter((source) => typeof source !== 'string');
  const captures = commonCaptures(templates);
  return [
    ...payloadProblems(spec.payload, captures),
    ...keyProblems(spec, captures),
    ...windowProblems(spec, captures),
    ...shareProblems(spec),
    ...alertProblems(spec),
    ...outputTopics(spec).flatMap((output) => outputProblems(output, spec, templates, captures)),
  ];
}

/** First levels with which brokers name kinds of subscriptions: no message has them in its topic. */
const SUBSCRIPTIONS = new Set(['$share', '$queue', '$exclusive']);

function sourceProblem(source: readonly TopicLevel[] | string): Omit<Problem, 'path'> | undefined {
  if (typeof source === 'string') return { what: source, fix: 'write levels such as site/+/bed/{bed}/ecg' };
  const [first] = source;
  if (first?.type !== 'Text' || !SUBSCRIPTIONS.has(first.text)) return undefined;
  return { what: `${first.text} is no part of a topic`, fix: 'name the group in source.share' };
}

/** Captures that every topic of the source has: only they are there for each message. */
function commonCaptures(templates: readonly (readonly TopicLevel[])[]): readonly string[] {
  const [first = [], ...others] = templates.map(topicCaptures);
  return first.filter((name) => others.every((names) => names.includes(name)));
}

/** Columns that a payload gives, dimensions of SampledData beyond the first aside. */
export function payloadColumns(payload: StreamPayloadSpec): readonly string[] {
  switch (payload.type) {
    case 'Json':
    case 'Cbor':
      return Object.keys(payload.columns);
    case 'Samples':
      return payload.channels;
    case 'FhirObservation':
      return [...Object.keys(payload.codes), ...Object.keys(payload.columns)];
  }
}

function payloadProblems(payload: StreamPayloadSpec, captures: readonly string[]): Problem[] {
  const at = (...path: Path): Path => ['spec', 'payload', ...path];
  const columns = payloadColumns(payload);
  const problems: Problem[] = [];
  if (columns.length === 0)
    problems.push({
      path: at('columns'),
      what: 'names no column',
      fix: 'add one, such as pulse: vitals.pulse',
    });
  for (const [index, name] of columns.entries())
    if (captures.includes(name) || columns.indexOf(name) !== index) {
      const what = `${quote(name)} is the name of a capture or of two columns`;
      problems.push({ path: at('columns'), what, fix: 'rename one of them' });
    }
  if (payload.type === 'FhirObservation') return problems;
  const { time } = payload;
  if (time.type === 'Capture' && !captures.includes(time.capture))
    problems.push({
      path: at('time', 'capture'),
      what: 'is no capture of every topic',
      fix: `write {${time.capture}} into each`,
    });
  if (payload.type !== 'Samples') return problems;
  if (time.type === 'Path')
    problems.push({
      path: at('time', 'type'),
      what: 'packed samples have no members',
      fix: 'use Arrival, Capture or Property',
    });
  if (payload.rateHz === undefined)
    problems.push({ path: at('rateHz'), what: 'is missing', fix: 'add the samples a second' });
  return problems;
}

/** Columns of a record may tell streams apart; samples of one message are of one stream. */
function keyNames({ payload }: StreamPipelineSpec, captures: readonly string[]): readonly string[] {
  if (isSampled(payload)) return captures;
  return payload.type === 'FhirObservation'
    ? [...captures, ...Object.keys(payload.columns)]
    : [...captures, ...payloadColumns(payload)];
}

function keyProblems(spec: StreamPipelineSpec, captures: readonly string[]): Problem[] {
  return templateProblems(spec.key, ['spec', 'key'], keyNames(spec, captures));
}

function templateProblems(template: string, path: Path, names: readonly string[]): Problem[] {
  const parts = parseTextTemplate(template);
  if (typeof parts === 'string') return [{ path, what: parts, fix: 'write {name}' }];
  return templateNames(parts)
    .filter((name) => !names.includes(name))
    .map((name) => {
      const known = names.length === 0 ? 'remove it' : `use one of ${names.join(', ')}`;
      return { path, what: `${quote(name)} is not known of every message`, fix: known };
    });
}

const isSampled = (payload: StreamPayloadSpec): boolean =>
  payload.type === 'Samples' || ('rateHz' in payload && payload.rateHz !== undefined);

function windowProblems({ payload, window }: StreamPipelineSpec, captures: readonly string[]): Problem[] {
  if (window.type === 'Record') return [];
  const columns = payloadColumns(payload);
  const problems = window.reduce.flatMap(({ from, function: name }, index): Problem[] => {
    const path = ['spec', 'window', 'reduce', index];
    if (name === 'Interval' && window.type !== 'Event')
      return [{ path: [...path, 'function'], what: 'there is no trigger', fix: 'use windows of type Event' }];
    return isColumn(from, columns, payload) || captures.includes(from)
      ? []
      : [
          {
            path: [...path, 'from'],
            what: 'is no column of the stream',
            fix: `use one of ${columns.join(', ')}`,
          },
        ];
  });
  return [...problems, ...stepProblems(window), ...triggerProblems(window, payload)];
}

/** FHIR names further dimensions `name[1]`. */
function isColumn(name: string, columns: readonly string[], payload: StreamPayloadSpec): boolean {
  const base = payload.type === 'FhirObservation' ? name.replace(/\[\d+\]$/, '') : name;
  return columns.includes(base);
}

function stepProblems(window: StreamWindowSpec): Problem[] {
  if (window.type === 'Session' && window.gapMs > window.maximumMs)
    return [{ path: ['spec', 'window', 'maximumMs'], what: 'is less than gapMs', fix: 'raise it' }];
  if (window.type !== 'Sliding') return [];
  const path = ['spec', 'window', 'stepMs'];
  if (window.stepMs > window.sizeMs)
    return [{ path, what: 'leaves time between the windows', fix: 'lower it to sizeMs or less' }];
  if (window.sizeMs / window.stepMs <= MOST_OVERLAP) return [];
  return [{ path, what: `puts a sample into more than ${String(MOST_OVERLAP)} windows`, fix: 'raise it' }];
}

function triggerProblems(window: StreamWindowSpec, payload: StreamPayloadSpec): Problem[] {
  if (window.type !== 'Event') return [];
  const { trigger } = window;
  const at = (field: string): Path => ['spec', 'window', 'trigger', field];
  const columns = payloadColumns(payload);
  const problems: Problem[] = [];
  if (!isColumn(trigger.column, columns, payload))
    problems.push({
      path: at('column'),
      what: 'is no column of the stream',
      fix: `use one of ${columns.join(', ')}`,
    });
  if (trigger.beforeMs + trigger.afterMs <= 0)
    problems.push({ path: at('afterMs'), what: 'the window is empty', fix: 'raise it, or beforeMs' });
  if (trigger.type === 'RPeak' && !isSampled(payload) && payload.type !== 'FhirObservation')
    problems.push({
      path: at('type'),
      what: 'beats are found in samples',
      fix: 'give rateHz, or use payload Samples',
    });
  return problems;
}

/** What a shared subscription splits must not belong together. */
function shareProblems({ source, window, alerts }: StreamPipelineSpec): Problem[] {
  if (source.share === undefined) return [];
  const path = ['spec', 'source', 'share'];
  if (window.type !== 'Record')
    return [
      {
        path,
        what: 'splits the windows of a key between members',
        fix: 'remove it, or use windows of type Record',
      },
    ];
  if (alerts.length === 0) return [];
  return [{ path, what: 'splits the alerts of a key between members', fix: 'remove it, or the alerts' }];
}

function alertProblems(spec: StreamPipelineSpec): Problem[] {
  const { alerts, model } = spec;
  return alerts.flatMap((alert, index): Problem[] => {
    const { output } = alert;
    const path = ['spec', 'alerts', index];
    const problems = levelProblems(alert, path);
    if (output === undefined && model?.output === undefined)
      problems.push({ path: [...path, 'output'], what: 'is missing', fix: 'add it, or model.output' });
    if (output !== undefined && model === undefined && !isRowColumn(output, spec)) {
      const fix = `use one of ${rowColumns(spec).join(', ')}`;
      problems.push({ path: [...path, 'output'], what: `${quote(output)} is no column of the row`, fix });
    }
    return problems;
  });
}

function levelProblems({ direction, above, below }: StreamAlertSpec, path: Problem['path']): Problem[] {
  const problems: Problem[] = [];
  const [name, level] = direction === 'High' ? ['above', above] : ['below', below];
  if (level === undefined) {
    const fix = `add what raises an alert of direction ${direction}`;
    problems.push({ path: [...path, name], what: 'is missing', fix });
  }
  if (above !== undefined && below !== undefined && below > above)
    problems.push({ path: [...path, 'below'], what: 'lies over above', fix: 'lower it' });
  return problems;
}

/** Columns of the rows that windows give. */
const rowColumns = ({ payload, window }: StreamPipelineSpec): readonly string[] =>
  window.type === 'Record' ? payloadColumns(payload) : window.reduce.map(({ column }) => column);

const isRowColumn = (name: string, spec: StreamPipelineSpec): boolean =>
  spec.window.type === 'Record'
    ? isColumn(name, rowColumns(spec), spec.payload)
    : rowColumns(spec).includes(name);

interface OutputTopic {
  readonly path: Path;
  readonly template: string;
}

function outputTopics({ result, alerts, deadLetter }: StreamPipelineSpec): readonly OutputTopic[] {
  return [
    { path: ['spec', 'result', 'topic'], template: result.topic },
    ...alerts.map(({ topic }, index) => ({ path: ['spec', 'alerts', index, 'topic'], template: topic })),
    ...(deadLetter.topic === undefined
      ? []
      : [{ path: ['spec', 'deadLetter', 'topic'], template: deadLetter.topic }]),
  ];
}

/** A topic to publish on: names that are known, no wildcard, and never one that the pipeline reads itself. */
function outputProblems(
  { path, template }: OutputTopic,
  spec: StreamPipelineSpec,
  sources: readonly (readonly TopicLevel[])[],
  captures: readonly string[],
): Problem[] {
  if (/[+#]/.test(template))
    return [{ path, what: 'nothing can be published on a wildcard', fix: 'name each level' }];
  // What a dead letter could not be read for has no columns, so its topic holds captures only.
  const names = path.includes('deadLetter') ? captures : keyNames(spec, captures);
  const problems = templateProblems(template, path, names);
  if (problems.length > 0) return problems;
  if (!areRead(template, sources)) return [];
  return [
    {
      path,
      what: 'is read by the pipeline itself, which would answer its answers',
      fix: 'choose another topic',
    },
  ];
}

/** Whether some topic of a text with names in it is one of the source's. */
function areRead(template: string, sources: readonly (readonly TopicLevel[])[]): boolean {
  const parts = parseTextTemplate(template);
  if (typeof parts === 'string') return false;
  const levels = publishedLevels(parts);
  return sources.some((source) => topicsOverlap(source, levels));
}

/** The field of a pipeline whose messages another one of the same broker reads, such as `spec.result.topic`. */
export function feedingField(from: StreamPipelineSpec, to: StreamPipelineSpec): string | undefined {
  const sources = to.source.topics.map(parseTopicTemplate).filter((source) => typeof source !== 'string');
  const feeding = outputTopics(from).find(({ template }) => areRead(template, sources));
  return feeding && pathText(feeding.path);
}
