import { auc, aucCovariance, aucVariance } from '@tributary/edge-agent/internal/domain/metrics/auc.js';
import type { Predictions } from '@tributary/edge-agent/internal/domain/metrics/predictions.js';
import { INTERVAL_95 } from '@tributary/proto';

import { mean } from './result.js';

/** A difference of AUCs with its standard error. */
export interface Gain {
  readonly mean: number;
  readonly error: number;
}

/** The same with its 95 % interval. */
export interface GainInterval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Federated minus alone on the same test rows of one site, which is what makes it paired: the mean over the splits, with
 * the mean of their standard errors (DeLong). The splits share most rows, so that their errors do not average out. It
 * speaks of these models and of other rows like these, not of models trained on other rows.
 */
export function gainOf(federated: readonly Predictions[], alone: readonly Predictions[]): Gain {
  const each = federated.flatMap((one, index) => {
    const other = alone[index];
    if (other === undefined) return [];
    const variance = aucVariance(one) + aucVariance(other) - 2 * aucCovariance(one, other);
    return [{ mean: auc(one) - auc(other), error: Math.sqrt(Math.max(0, variance)) }];
  });
  return { mean: mean(each.map((one) => one.mean)), error: mean(each.map((one) => one.error)) };
}

/** The mean over sites, whose test rows are different people. */
export function meanGain(sites: readonly Gain[]): GainInterval {
  const error = Math.sqrt(sites.reduce((sum, site) => sum + site.error ** 2, 0)) / sites.length;
  return intervalOf({ mean: mean(sites.map((site) => site.mean)), error });
}

export function intervalOf({ mean: middle, error }: Gain): GainInterval {
  return { mean: middle, low: middle - INTERVAL_95 * error, high: middle + INTERVAL_95 * error };
}
