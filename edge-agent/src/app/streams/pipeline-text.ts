import type { PipelineStatus } from './pipeline-status.js';

/** The pipelines of a status for people, a line each. */
export function describePipelines(pipelines: readonly PipelineStatus[]): readonly string[] {
  if (pipelines.length === 0) return [];
  return ['Pipelines:', ...pipelines.flatMap(linesOf)];
}

function linesOf(pipeline: PipelineStatus): readonly string[] {
  const { name, state, reason, messages, results, outstanding, keys, p99Ms, version } = pipeline;
  const model =
    pipeline.model === null ? 'no model' : `${pipeline.model}@${version === null ? '-' : String(version)}`;
  const counts = [
    `${String(messages)} messages`,
    `${String(results)} results`,
    ...lettersOf(pipeline),
    `${String(outstanding)} outstanding`,
    `${String(keys)} keys`,
    ...(p99Ms === null ? [] : [`p99 ${String(p99Ms)} ms`]),
  ];
  const line = `  ${name}  ${state}  ${model}: ${counts.join(', ')}`;
  return reason === null ? [line] : [line, `    ${reason.code}: ${reason.detail}`];
}

function lettersOf({ deadLetters }: PipelineStatus): readonly string[] {
  const reasons = Object.entries(deadLetters);
  const total = reasons.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return [];
  const listed = reasons.map(([reason, count]) => `${reason} ${String(count)}`).join(', ');
  return [`${String(total)} dead letters (${listed})`];
}
