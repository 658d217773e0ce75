/** Labels and scores to rank; a label above one half is positive. */
export type RankedScores = Readonly<Record<'scores' | 'labels', ArrayLike<number>>>;

/**
 * Area under the ROC curve of a binary classifier, in [0, 1]: the Mann-Whitney statistic with midranks for ties
 * (Hanley & McNeil, Radiology 143, 1982), that is the share of (positive, negative) pairs in which the positive row
 * has the higher score, a tie counting one half. NaN where one of the classes, or a finite score, is missing.
 */
export function auc({ scores, labels }: RankedScores): number {
  const order = rowsByScore(scores, labels.length);
  let positives = 0;
  let rankSum = 0;
  for (let first = 0; first < order.length;) {
    const end = endOfTie(order, scores, first);
    // Ranks first + 1 to end, shared by the tied rows.
    const midrank = (first + 1 + end) / 2;
    for (let place = first; place < end; place += 1) {
      if ((labels[order[place] ?? 0] ?? 0) <= 0.5) continue;
      positives += 1;
      rankSum += midrank;
    }
    first = end;
  }
  const negatives = order.length - positives;
  if (positives === 0 || negatives === 0) return Number.NaN;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/** Row numbers by ascending score; empty where a score is not a number, since such rows have no rank. */
function rowsByScore(scores: ArrayLike<number>, rows: number): Uint32Array {
  const order = new Uint32Array(rows);
  for (let row = 0; row < rows; row += 1) {
    if (Number.isNaN(scores[row] ?? Number.NaN)) return new Uint32Array(0);
    order[row] = row;
  }
  return order.sort((left, right) => compare(scores[left] ?? 0, scores[right] ?? 0));
}

/** Infinities are equal to themselves, which a difference would not say. */
const compare = (left: number, right: number): number => (left < right ? -1 : left > right ? 1 : 0);

function endOfTie(order: Uint32Array, scores: ArrayLike<number>, first: number): number {
  const score = scores[order[first] ?? 0];
  let end = first + 1;
  while (end < order.length && scores[order[end] ?? 0] === score) end += 1;
  return end;
}
