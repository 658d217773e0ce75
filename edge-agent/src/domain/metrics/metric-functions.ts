import type { MetricName } from '@tributary/proto';

import { accuracy } from './accuracy.js';
import { aucMetric } from './auc.js';
import { averagePrecision } from './average-precision.js';
import { brier } from './brier.js';
import { calibrationError } from './calibration-error.js';
import { calibrationIntercept, calibrationSlope } from './calibration-line.js';
import { f1 } from './f1.js';
import { logLoss } from './log-loss.js';
import type { Predictions } from './predictions.js';
import { mae, r2, rmse } from './regression-error.js';
import type { Metric } from './variance.js';

/** How each metric of the contract is computed; its range and meaning stand beside its name in the contract. */
const METRIC_FUNCTIONS: Readonly<Record<MetricName, Metric>> = Object.freeze({
  auc: aucMetric,
  averagePrecision,
  accuracy,
  f1,
  logLoss,
  brier,
  calibrationError,
  calibrationSlope,
  calibrationIntercept,
  rmse,
  mae,
  r2,
});

type Named = Readonly<Record<string, number>>;

/** The named metrics of the predictions; NaN where one is undefined (no rows, or the AUC of a single class). */
export function measure(names: readonly MetricName[], predictions: Predictions): Named {
  return Object.fromEntries(names.map((name) => [name, METRIC_FUNCTIONS[name].value(predictions)]));
}

/** The sampling variances of the named metrics; NaN where undefined. */
export function measureVariances(names: readonly MetricName[], predictions: Predictions): Named {
  return Object.fromEntries(names.map((name) => [name, METRIC_FUNCTIONS[name].variance(predictions)]));
}
