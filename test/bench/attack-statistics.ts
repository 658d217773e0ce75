import { seededRandom } from '@tributary/edge-agent/internal/domain/datasets/seeded-random.js';
import type { Interval } from '@tributary/edge-agent/internal/domain/metrics/bootstrap.js';

/** Of the intervals: several cases are judged by them in one run. */
export const LEVEL = 0.99;

/** Standard normal quantile of (1 + LEVEL) / 2. */
const Z = 2.5758293035489;
const RESAMPLES = 2_000;

/** Wilson's score interval of a share (Wilson, JASA 22, 1927). */
export function wilson(successes: number, trials: number): Interval {
  const share = successes / trials;
  const centre = share + (Z * Z) / (2 * trials);
  const half = Z * Math.sqrt((share * (1 - share)) / trials + (Z * Z) / (4 * trials * trials));
  const scale = 1 + (Z * Z) / trials;
  // Rounding must not keep the whole share, or none, out of its interval.
  return { low: Math.max(0, (centre - half) / scale), high: Math.min(1, (centre + half) / scale) };
}

/** Percentile bootstrap interval of a mean over independent trials; the same values give the same interval. */
export function meanInterval(values: readonly number[]): Interval {
  const random = seededRandom(values.length);
  const means = Float64Array.from({ length: RESAMPLES }, () => {
    let sum = 0;
    for (let draw = 0; draw < values.length; draw += 1)
      sum += values[Math.floor(random() * values.length)] ?? 0;
    return sum / values.length;
  }).sort();
  const at = (share: number): number => means[Math.round(share * (RESAMPLES - 1))] ?? Number.NaN;
  return { low: at((1 - LEVEL) / 2), high: at((1 + LEVEL) / 2) };
}

/** Scores of one trial: of the record that took part, and of others of the same site or population that did not. */
export interface LineUp {
  readonly member: number;
  readonly others: readonly number[];
}

/** Share of the others that score lower than the member, a tie counting one half: the AUC of one trial. */
export function rankedRight({ member, others }: LineUp): number {
  const right = others.reduce((sum, other) => sum + (other < member ? 1 : other === member ? 0.5 : 0), 0);
  return right / others.length;
}

/** Whether the member scores higher than everybody else. */
export function isFirst({ member, others }: LineUp): boolean {
  return others.every((other) => other < member);
}

/**
 * Share of members and non-members, one of each a trial, that are told apart by the threshold that does best on the
 * trials with even numbers, over the others.
 */
export function accuracyOf(lineUps: readonly LineUp[]): number {
  const fitted = lineUps.filter((_, trial) => trial % 2 === 0);
  const judged = lineUps.filter((_, trial) => trial % 2 === 1);
  const thresholds = fitted.flatMap(({ member, others }) => [member, others[0] ?? member]);
  const best = thresholds.reduce(
    (found, threshold) => {
      const accuracy = accuracyAt(fitted, threshold);
      return accuracy > found.accuracy ? { threshold, accuracy } : found;
    },
    { threshold: Number.POSITIVE_INFINITY, accuracy: 0 },
  );
  return accuracyAt(judged, best.threshold);
}

function accuracyAt(lineUps: readonly LineUp[], threshold: number): number {
  const right = lineUps.reduce(
    (sum, { member, others }) =>
      sum + Number(member >= threshold) + Number((others[0] ?? Number.NaN) < threshold),
    0,
  );
  return right / (2 * lineUps.length);
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
