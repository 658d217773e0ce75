import { predictedClass, type Predictions } from './predictions.js';
import { varianceOf, type Metric } from './variance.js';

const BINS = 10;

/** Rows whose probability lies in one bin, and their sums. */
export interface CalibrationBin {
  readonly rows: number;
  readonly probabilities: number;
  readonly outcomes: number;
}

/** The probability that is judged, and whether it came true: of the positive class, or of the class that is predicted. */
function claimOf(predictions: Predictions, row: number): readonly [probability: number, outcome: number] {
  const { scores, labels, outputs } = predictions;
  if (outputs === 1) return [scores[row] ?? Number.NaN, Number((labels[row] ?? 0) > 0.5)];
  const predicted = predictedClass(predictions, row);
  return [scores[row * outputs + predicted] ?? Number.NaN, Number(predicted === labels[row])];
}

/** Bins of equal width; each holds its upper edge, as scikit-learn's calibration_curve has it. Edges are float32, as scores are. */
function binOf(probability: number, edges: readonly number[]): number {
  const bin = edges.findIndex((edge) => probability <= edge);
  return bin < 0 ? edges.length : bin;
}

const edgesOf = (bins: number): readonly number[] =>
  Array.from({ length: bins - 1 }, (_, index) => Math.fround((index + 1) / bins));

/** The reliability diagram: predicted and observed frequencies in bins of equal width. */
export function calibrationBins(predictions: Predictions, bins = BINS): readonly CalibrationBin[] {
  const edges = edgesOf(bins);
  const found = Array.from({ length: bins }, () => ({ rows: 0, probabilities: 0, outcomes: 0 }));
  for (let row = 0; row < predictions.labels.length; row += 1) {
    const [probability, outcome] = claimOf(predictions, row);
    const bin = found[binOf(probability, edges)];
    if (bin === undefined) continue;
    bin.rows += 1;
    bin.probabilities += probability;
    bin.outcomes += outcome;
  }
  return found;
}

function errorOf(predictions: Predictions, bins: readonly CalibrationBin[]): number {
  const gaps = bins.reduce((sum, { outcomes, probabilities }) => sum + Math.abs(outcomes - probabilities), 0);
  return gaps / predictions.labels.length;
}

/**
 * Expected calibration error, in [0, 1]: the mean over the rows of the distance between predicted and observed frequency
 * in ten bins of equal width (Naeini, Cooper & Hauskrecht, AAAI 2015; for classes of the predicted one: Guo et al.,
 * ICML 2017). NaN without rows. It is biased upwards where bins hold few rows; the variance, by the derivative at fixed
 * bins, says nothing of that bias, and is too small where a bin is calibrated perfectly.
 */
export const calibrationError: Metric = {
  value: (predictions) => errorOf(predictions, calibrationBins(predictions)),
  variance: (predictions) => {
    const bins = calibrationBins(predictions);
    const error = errorOf(predictions, bins);
    const edges = edgesOf(BINS);
    const rows = predictions.labels.length;
    return varianceOf(rows, (row) => {
      const [probability, outcome] = claimOf(predictions, row);
      const bin = bins[binOf(probability, edges)];
      const side = Math.sign((bin?.outcomes ?? 0) - (bin?.probabilities ?? 0));
      return (side * (outcome - probability) - error) / rows;
    });
  },
};
