import type { StreamPipeline } from '@tributary/proto';

import type { AlertEffect } from '../../domain/streams/alerts.js';
import type { Gaps } from '../../domain/streams/gaps.js';
import type { Decision } from '../../domain/streams/key-step.js';
import type { Outcome } from './stream-work.js';

export type Answered = Extract<Outcome, { result: unknown }>;

/** The outputs of one row by their names. */
export function outputsOf({ result, row }: Answered): Readonly<Record<string, number>> {
  const { outputs, scores } = result;
  const named: Record<string, number> = {};
  for (const [index, name] of outputs.entries())
    named[name] = scores[row * outputs.length + index] ?? Number.NaN;
  return named;
}

/** Makes the message that a decision is published as: JSON. */
export type ResultWriter = (
  decision: Decision,
  answered: Answered | undefined,
  latencyMs: number,
) => Uint8Array;

/** Put together by hand, as every message is answered with one: texts that do not change are written once. */
export function resultWriter({ metadata, spec }: StreamPipeline): ResultWriter {
  const pipeline = `"pipeline":${JSON.stringify(metadata.name)}`;
  const output = spec.model?.output;
  return ({ id, key, startMs, endMs, row, points, gaps, trigger }, answered, latencyMs) => {
    const answer = answered === undefined ? `"row":${JSON.stringify(row)}` : answerOf(answered, output);
    const window = `"window":{"startMs":${String(startMs)},"endMs":${String(endMs)}}`;
    const hit = trigger === undefined ? '' : `,"trigger":${JSON.stringify(trigger)}`;
    const counts = `"points":${String(points)},"gaps":${gapsText(gaps)},"issues":${String(answered?.issues ?? 0)}`;
    return Buffer.from(
      `{"decisionId":"${id}",${pipeline},${answer},"key":${JSON.stringify(key)},` +
        `${window}${hit},${counts},"latencyMs":${JSON.stringify(latencyMs)}}`,
    );
  };
}

const gapsText = (gaps: Gaps): string =>
  gaps.count === 0 ? '{"listed":[],"count":0,"totalMs":0}' : JSON.stringify(gaps);

function answerOf(answered: Answered, output: string | undefined): string {
  const { result, row } = answered;
  const { model, version, outputs, scores, labels } = result;
  const label = labels?.[row];
  const named = label === undefined ? '' : `,"label":${JSON.stringify(label)}`;
  const score =
    output === undefined
      ? `"outputs":${JSON.stringify(outputsOf(answered))}`
      : `"score":${JSON.stringify(scores[row * outputs.length + outputs.indexOf(output)] ?? null)}`;
  return `"model":${JSON.stringify(model)},"version":${String(version)},${score}${named}`;
}

/** The message that the beginning or end of an alert is published as: JSON. */
export function alertMessage(pipeline: string, decision: Decision, effect: AlertEffect): Uint8Array {
  const { alert, type, id, sinceMs, timeMs, value } = effect;
  return Buffer.from(
    JSON.stringify({
      alert,
      type,
      id,
      pipeline,
      key: decision.key,
      sinceMs,
      timeMs,
      value,
      decisionId: decision.id,
    }),
  );
}
