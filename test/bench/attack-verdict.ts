import type { Interval } from '@tributary/edge-agent/internal/domain/metrics/bootstrap.js';

import type { AttackedModel } from './attack-records.js';
import type { Scenario } from './attack-trials.js';

/** Of the positive control; ring words of one record are coarser than float32. */
const CONTROL = { share: 0.95, error: { plain: 1e-3, words: 1e-2 } };

/** One attack on what one scenario gives away. Intervals have the level `LEVEL`. */
export interface AttackResult extends Scenario {
  readonly attack: 'inversion' | 'membership';
  readonly model: AttackedModel;
  /** Mean share of non-members that the member outranks. */
  readonly auc: number;
  readonly aucInterval: Interval;
  /** Share of trials in which the member comes first in its line-up. */
  readonly identified: number;
  readonly identifiedInterval: Interval;
  /** Of {@link identified}, by guessing. */
  readonly chance: number;
  /** Share told apart by a threshold from other trials; 0.5 by guessing. */
  readonly accuracy: number;
  /** Median relative error of the inputs; null where nothing is reconstructed. */
  readonly reconstructionError: number | null;
  /** Balanced accuracy of the reconstructed label; null where there is none. */
  readonly labelAccuracy: number | null;
}

/** What makes a run worthless, or secure aggregation leaky. */
export function faultsOf(result: AttackResult): readonly string[] {
  const { attack, model, target, records } = result;
  const of = `${attack} of ${model}, ${target}, ${String(records)} records a site`;
  if (target === 'masked')
    return isAtChance(result) ? [] : [`${of}: a masked update alone gives something away`];
  if (target === 'sum' || records > 1 || succeeds(result, CONTROL.error[target])) return [];
  return [`${of}: the positive control does not succeed, so that the rest proves nothing`];
}

function isAtChance({ aucInterval, identifiedInterval, chance }: AttackResult): boolean {
  return aucInterval.low <= 0.5 && aucInterval.high >= 0.5 && identifiedInterval.low <= chance;
}

function succeeds(
  { auc, identified, reconstructionError, labelAccuracy }: AttackResult,
  error: number,
): boolean {
  const shares = [auc, identified, labelAccuracy ?? 1];
  return shares.every((share) => share >= CONTROL.share) && (reconstructionError ?? 0) < error;
}
