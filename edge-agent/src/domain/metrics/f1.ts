import { predictedClass, type Predictions } from './predictions.js';
import { varianceOf, type Metric } from './variance.js';

/** Rows of a class: both true and predicted, and the sum of those true and those predicted. */
interface ClassCount {
  readonly hits: number;
  readonly claims: number;
}

/** The positive class of a binary task, or every class that is true or predicted somewhere. */
function countsOf(predictions: Predictions): ReadonlyMap<number, ClassCount> {
  const counts = new Map<number, ClassCount>();
  const add = (name: number, hits: number): void => {
    const { hits: before = 0, claims = 0 } = counts.get(name) ?? {};
    counts.set(name, { hits: before + hits, claims: claims + 1 });
  };
  for (let row = 0; row < predictions.labels.length; row += 1) {
    const predicted = predictedClass(predictions, row);
    const label = predictions.labels[row] ?? 0;
    add(label, Number(predicted === label));
    add(predicted, 0);
  }
  if (predictions.outputs === 1) counts.delete(0);
  return counts;
}

/**
 * F1 score, in [0, 1]: twice the true positives over the rows that are positive plus those predicted so (van Rijsbergen,
 * Information Retrieval, 1979, chapter 7). One output: of the positive class at 0.5. Several: the mean over the classes
 * that are true or predicted somewhere (macro). NaN where no class counts.
 */
export const f1: Metric = {
  value: (predictions) => {
    const scores = [...countsOf(predictions).values()].map(({ hits, claims }) => (2 * hits) / claims);
    return scores.length === 0 ? Number.NaN : scores.reduce((sum, score) => sum + score, 0) / scores.length;
  },
  variance: (predictions) => {
    const counts = countsOf(predictions);
    if (counts.size === 0) return Number.NaN;
    const part = (name: number, hit: number): number => {
      const count = counts.get(name);
      return count === undefined ? 0 : (2 * hit) / count.claims - (2 * count.hits) / count.claims ** 2;
    };
    return varianceOf(predictions.labels.length, (row) => {
      const predicted = predictedClass(predictions, row);
      const label = predictions.labels[row] ?? 0;
      return (part(label, Number(predicted === label)) + part(predicted, 0)) / counts.size;
    });
  },
};
