import { TributaryError } from '@tributary/proto';

import { topNames } from '../../domain/serving/served-task.js';
import type { PredictionRequest, PredictionResult, RowIssue } from '../../serving-ports.js';
import type { Random } from '../../ports.js';
import type { Pending } from './model-lane.js';
import type { ServedVersion } from './served-version.js';

const ID_BYTES = 16;

/** Rows of a request for a version; throws INVALID_ARGUMENT where encoded rows have another width. */
export function rowCount(request: PredictionRequest, width: number): number {
  if ('rows' in request) return request.rows.length;
  const rows = request.inputs.length / width;
  if (Number.isInteger(rows)) return rows;
  throw new TributaryError(
    'INVALID_ARGUMENT',
    `input: ${String(request.inputs.length)} values are no whole number of rows of ${String(width)}`,
  );
}

/** Requests that one version can answer, and those of encoded rows that it cannot, since versions changed meanwhile. */
export function split(
  batch: readonly Pending[],
  { plan }: ServedVersion,
): { readonly fitting: readonly Pending[]; readonly others: readonly Pending[] } {
  const fits = ({ request, rows }: Pending): boolean =>
    'rows' in request || request.inputs.length === rows * plan.width;
  return { fitting: batch.filter(fits), others: batch.filter((pending) => !fits(pending)) };
}

/** All rows of a batch as inputs of the model: memory of its own. Notes the cells that could not be read. */
export function encode(batch: readonly Pending[], { plan }: ServedVersion): Float32Array {
  const rows = batch.reduce((sum, pending) => sum + pending.rows, 0);
  const inputs = new Float32Array(rows * plan.width);
  let at = 0;
  for (const pending of batch) {
    const { request } = pending;
    if ('inputs' in request) {
      inputs.set(request.inputs, at);
      at += request.inputs.length;
      continue;
    }
    const issues: RowIssue[] = [];
    for (const [index, row] of request.rows.entries()) {
      for (const issue of plan.encode(row, inputs, at)) issues.push({ row: index, ...issue });
      at += plan.width;
    }
    pending.issues = issues;
  }
  return inputs;
}

/** The answer of each request of a batch, in order. */
export function answersOf(
  batch: readonly Pending[],
  { load, outputs, task }: ServedVersion,
  scores: Float32Array,
  { nowMs, random }: { readonly nowMs: number; readonly random: Random },
): readonly PredictionResult[] {
  const width = outputs.length;
  let at = 0;
  return batch.map(({ request, rows, issues, sinceMs }) => {
    const own = batch.length === 1 ? scores : scores.slice(at, (at += rows * width));
    return {
      model: load.manifest.name,
      version: load.manifest.version,
      outputs,
      scores: own,
      ...(task === 'MultiClass' && { labels: topNames(own, outputs) }),
      decisionIds: request.decisionIds ?? Array.from({ length: rows }, () => decisionId(random)),
      issues,
      latencyMs: nowMs - sinceMs,
    };
  });
}

const decisionId = (random: Random): string => Buffer.from(random.bytes(ID_BYTES)).toString('hex');
