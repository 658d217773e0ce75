import type { StreamPipeline } from '@tributary/proto';

import type { AlertEffect } from '../../domain/streams/alerts.js';
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

/** The message that a decision is published as: JSON. */
export function resultMessage(
  pipeline: StreamPipeline,
  { id, key, startMs, endMs, row, points, gaps, trigger }: Decision,
  answered: Answered | undefined,
  latencyMs: number,
): Uint8Array {
  const answer = answered === undefined ? { row } : answerOf(answered, pipeline.spec.model?.output);
  const message = {
    decisionId: id,
    pipeline: pipeline.metadata.name,
    ...answer,
    key,
    window: { startMs, endMs },
    trigger,
    points,
    gaps,
    issues: answered?.issues ?? 0,
    latencyMs,
  };
  return Buffer.from(JSON.stringify(message));
}

function answerOf(answered: Answered, output: string | undefined): object {
  const { result, row } = answered;
  const { model, version, outputs, scores, labels } = result;
  const label = labels?.[row];
  if (output === undefined) return { model, version, outputs: outputsOf(answered), label };
  return { model, version, score: scores[row * outputs.length + outputs.indexOf(output)], label };
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
