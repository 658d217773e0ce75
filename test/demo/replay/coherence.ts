import { auc } from '@tributary/edge-agent/internal/domain/metrics/auc.js';

import type { HeldOutRecord } from './held-out.js';
import type { SiteReplay } from './site-replay.js';

/** By how much a score of the stream, or the AUC of all, may differ from the evaluation of the same model on the same rows. */
export const TOLERANCE = 1e-6;

export interface Coherence {
  /** Largest difference of a score from that of the evaluation; NaN where nothing was answered. */
  readonly scoreDifference: number;
  /** Of the AUC, over the rows that were answered. */
  readonly aucDifference: number;
  /** Answers of another model version than the one that was rolled out. */
  readonly otherVersions: number;
}

/** Compares what came over the stream with the evaluation of the same rows, score by score. */
export function coherenceOf(
  { answers }: Pick<SiteReplay, 'answers'>,
  records: readonly HeldOutRecord[],
  served: { readonly model: string; readonly version: number },
): Coherence {
  const pairs = records.flatMap((record, index) => {
    const answer = answers[index];
    return answer === undefined ? [] : [{ record, answer }];
  });
  const labels = Float32Array.from(pairs, ({ record }) => record.label);
  const streamed = auc({ scores: Float32Array.from(pairs, ({ answer }) => answer.score), labels });
  const evaluated = auc({ scores: Float32Array.from(pairs, ({ record }) => record.score), labels });
  const differences = pairs.map(({ record, answer }) => Math.abs(answer.score - record.score));
  return {
    scoreDifference: pairs.length === 0 ? Number.NaN : Math.max(...differences),
    aucDifference: Math.abs(streamed - evaluated),
    otherVersions: pairs.filter(
      ({ answer }) => answer.model !== served.model || answer.version !== served.version,
    ).length,
  };
}
