import type { RankedScores } from './auc.js';
import { endOfTie, rowsByScore } from './ranking.js';
import { varianceOf, type Metric } from './variance.js';

/** Rows with one score, and the rows from the highest score down to and with them. */
interface Step {
  readonly rows: Uint32Array;
  /** Positives among `rows`. */
  readonly positives: number;
  /** Positives, and all rows, down to here. */
  readonly hits: number;
  readonly claims: number;
}

interface Curve {
  /** From the highest score down. */
  readonly steps: readonly Step[];
  readonly positives: number;
}

/** Undefined without a positive row, or where a score is not a number. */
function curveOf({ scores, labels }: RankedScores): Curve | undefined {
  const order = rowsByScore(scores, labels.length)?.reverse();
  if (order === undefined) return undefined;
  const steps: Step[] = [];
  let hits = 0;
  for (let first = 0; first < order.length;) {
    const end = endOfTie(order, scores, first);
    const rows = order.subarray(first, end);
    const positives = rows.reduce((sum, row) => sum + Number((labels[row] ?? 0) > 0.5), 0);
    hits += positives;
    steps.push({ rows, positives, hits, claims: end });
    first = end;
  }
  return hits === 0 ? undefined : { steps, positives: hits };
}

const areaOf = ({ steps, positives }: Curve): number =>
  steps.reduce((sum, step) => sum + (step.positives * step.hits) / step.claims, 0) / positives;

/**
 * Average precision of a binary classifier, in [0, 1]: over the thresholds from the highest score down, the sum of the
 * precision times the gain of recall, without interpolation (as scikit-learn's average_precision_score); NaN without a
 * positive row.
 *
 * Its variance follows from the derivative by the weight of a row. Every positive row i adds its precision
 * hits(i) / claims(i); a row counts in hits and claims of all positives with the same or a lower score.
 */
export const averagePrecision: Metric = {
  value: (ranked) => {
    const curve = curveOf(ranked);
    return curve === undefined ? Number.NaN : areaOf(curve);
  },
  variance: (ranked) => {
    const curve = curveOf(ranked);
    if (curve === undefined) return Number.NaN;
    const area = areaOf(curve);
    const influences = new Float64Array(ranked.labels.length);
    // Sums over the positive rows with the same or a lower score: d precision / d hits, and d precision / d claims.
    let [byHits, byClaims] = [0, 0];
    for (const { rows, positives, hits, claims } of [...curve.steps].reverse()) {
      byHits += positives / claims;
      byClaims -= (positives * hits) / claims ** 2;
      for (const row of rows) {
        const positive = Number((ranked.labels[row] ?? 0) > 0.5);
        influences[row] = (positive * (hits / claims - area + byHits) + byClaims) / curve.positives;
      }
    }
    return varianceOf(influences.length, (row) => influences[row] ?? 0);
  },
};
