import type { MetricName } from '@tributary/proto';

import { accuracy } from './accuracy.js';
import { auc } from './auc.js';
import { brier } from './brier.js';
import { logLoss } from './log-loss.js';
import type { Predictions } from './predictions.js';
import { mae, rmse } from './regression-error.js';

/** How each metric of the contract is computed; its range and meaning stand beside its name in the contract. */
const METRIC_FUNCTIONS: Readonly<Record<MetricName, (predictions: Predictions) => number>> = Object.freeze({
  auc,
  accuracy,
  logLoss,
  brier,
  rmse,
  mae,
});

/** The named metrics of the predictions; NaN where one is undefined (no rows, or the AUC of a single class). */
export function measure(
  names: readonly MetricName[],
  predictions: Predictions,
): Readonly<Record<string, number>> {
  return Object.fromEntries(names.map((name) => [name, METRIC_FUNCTIONS[name](predictions)]));
}
