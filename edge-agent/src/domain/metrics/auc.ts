import { endOfTie, rowsByScore } from './ranking.js';
import type { Metric } from './variance.js';

/** Labels and scores to rank; a label above one half is positive. */
export type RankedScores = Readonly<Record<'scores' | 'labels', ArrayLike<number>>>;

/**
 * Of every row the share of rows of the other class that it is ranked right against, a tie counting one half: the
 * structural components of DeLong, DeLong & Clarke-Pearson (Biometrics 44, 1988), by midranks (Sun & Xu, IEEE Signal
 * Processing Letters 21, 2014) in n log n.
 */
interface Placements {
  readonly of: Float64Array;
  readonly positives: number;
  readonly negatives: number;
}

const isPositive = (labels: ArrayLike<number>, row: number): boolean => (labels[row] ?? 0) > 0.5;

/** Undefined where one of the classes, or a finite score, is missing. */
function placementsOf({ scores, labels }: RankedScores): Placements | undefined {
  const order = rowsByScore(scores, labels.length);
  if (order === undefined) return undefined;
  let positives = 0;
  for (let row = 0; row < labels.length; row += 1) positives += Number(isPositive(labels, row));
  const negatives = labels.length - positives;
  if (positives === 0 || negatives === 0) return undefined;
  const of = new Float64Array(labels.length);
  // Rows of each class that are ranked below the tie at work.
  let [positivesBelow, negativesBelow] = [0, 0];
  for (let first = 0; first < order.length;) {
    const end = endOfTie(order, scores, first);
    const tied = order.subarray(first, end);
    const tiedPositives = tied.reduce((sum, row) => sum + Number(isPositive(labels, row)), 0);
    const tiedNegatives = tied.length - tiedPositives;
    for (const row of tied) {
      of[row] = isPositive(labels, row)
        ? (negativesBelow + tiedNegatives / 2) / negatives
        : 1 - (positivesBelow + tiedPositives / 2) / positives;
    }
    positivesBelow += tiedPositives;
    negativesBelow += tiedNegatives;
    first = end;
  }
  return { of, positives, negatives };
}

/**
 * Area under the ROC curve of a binary classifier, in [0, 1]: the Mann-Whitney statistic with midranks for ties
 * (Hanley & McNeil, Radiology 143, 1982), that is the share of (positive, negative) pairs in which the positive row
 * has the higher score, a tie counting one half. NaN where one of the classes, or a finite score, is missing.
 */
export function auc({ scores, labels }: RankedScores): number {
  const order = rowsByScore(scores, labels.length);
  if (order === undefined) return Number.NaN;
  let positives = 0;
  let rankSum = 0;
  for (let first = 0; first < order.length;) {
    const end = endOfTie(order, scores, first);
    // Ranks first + 1 to end, shared by the tied rows.
    const midrank = (first + 1 + end) / 2;
    for (const row of order.subarray(first, end)) {
      if (!isPositive(labels, row)) continue;
      positives += 1;
      rankSum += midrank;
    }
    first = end;
  }
  const negatives = order.length - positives;
  if (positives === 0 || negatives === 0) return Number.NaN;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/** Sampling variance of the AUC (DeLong); NaN with fewer than two rows of a class. 0 where the classes do not overlap. */
export function aucVariance(ranked: RankedScores): number {
  return aucCovariance(ranked, ranked);
}

/**
 * Sampling covariance of the AUCs of two models on the same rows (DeLong): the variance of their difference is the sum of
 * the variances minus twice this. NaN with fewer than two rows of a class.
 */
export function aucCovariance(one: RankedScores, other: RankedScores): number {
  const [left, right] = [placementsOf(one), placementsOf(other)];
  if (left === undefined || right === undefined) return Number.NaN;
  const { positives, negatives } = left;
  if (positives < 2 || negatives < 2) return Number.NaN;
  const [leftAuc, rightAuc] = [auc(one), auc(other)];
  const sums = { positive: 0, negative: 0 };
  for (let row = 0; row < one.labels.length; row += 1) {
    const product = ((left.of[row] ?? 0) - leftAuc) * ((right.of[row] ?? 0) - rightAuc);
    sums[isPositive(one.labels, row) ? 'positive' : 'negative'] += product;
  }
  return sums.positive / (positives - 1) / positives + sums.negative / (negatives - 1) / negatives;
}

export const aucMetric: Metric = { value: auc, variance: aucVariance };
