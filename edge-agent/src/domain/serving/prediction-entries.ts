import { float32ToBytes } from '@tributary/proto';

import type { PredictionEntry, PredictionRequest, PredictionResult } from '../../serving-ports.js';

/** Source of what came by the local endpoint. */
export const ENDPOINT_SOURCE = 'oip';

/** What the log keeps of an answer: an entry for each row. */
export function entriesOf(
  request: PredictionRequest,
  result: PredictionResult,
  { atMs, source }: Pick<PredictionEntry, 'atMs' | 'source'>,
): readonly PredictionEntry[] {
  const { model, version, scores, outputs, labels, decisionIds } = result;
  const width = outputs.length;
  // Microseconds are more than a clock gives.
  const latencyMs = Math.round(result.latencyMs * 1_000) / 1_000;
  return decisionIds.map((decisionId, row) => {
    const named = labels?.[row];
    return {
      atMs,
      decisionId,
      model,
      version,
      source,
      scores: Array.from(scores.subarray(row * width, (row + 1) * width)),
      ...(named !== undefined && { label: named }),
      latencyMs,
      input: () => inputOf(request, row, decisionIds.length),
    };
  });
}

function inputOf(request: PredictionRequest, row: number, rows: number): Uint8Array | string {
  if ('rows' in request) return JSON.stringify(request.rows[row]);
  const width = request.inputs.length / rows;
  return float32ToBytes(request.inputs.subarray(row * width, (row + 1) * width));
}
