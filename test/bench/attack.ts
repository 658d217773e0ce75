import { startBackend, quietLibrary } from '@tributary/edge-agent/internal/adapters/training/backend.js';
import type { Interval } from '@tributary/edge-agent/internal/domain/metrics/bootstrap.js';

import {
  attackedJob,
  ATTACKED_MODELS,
  branchSpec,
  loadRecords,
  type AttackedModel,
} from './attack-records.js';
import { accuracyOf, isFirst, LEVEL, mean, meanInterval, rankedRight, wilson } from './attack-statistics.js';
import { AttackWorld, OTHERS, SITE_RECORDS, type Scenario, type Trial } from './attack-trials.js';
import { median, rounded, type BenchOptions } from './bench-case.js';

const TRIALS = 200;

const SCENARIOS: readonly Scenario[] = [
  { target: 'plain', sites: 1, records: 1, trials: TRIALS },
  { target: 'words', sites: 3, records: 1, trials: TRIALS },
  { target: 'masked', sites: 3, records: 1, trials: TRIALS },
  { target: 'sum', sites: 3, records: 1, trials: TRIALS },
  { target: 'plain', sites: 1, records: SITE_RECORDS, trials: TRIALS },
  { target: 'masked', sites: 3, records: SITE_RECORDS, trials: TRIALS },
  { target: 'sum', sites: 3, records: SITE_RECORDS, trials: TRIALS },
  { target: 'sum', sites: 10, records: SITE_RECORDS, trials: TRIALS },
  { target: 'sum', sites: 50, records: SITE_RECORDS, trials: TRIALS },
];

const CHANCE = 1 / (OTHERS + 1);

/** Of the positive control; ring words of one record are coarser than float32. */
const CONTROL = { share: 0.95, error: { plain: 1e-3, words: 1e-2 } };

/** One attack on what one scenario gives away. Intervals have the level {@link LEVEL}. */
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

/**
 * Gradient inversion and membership inference on updates of the agents' own trainer: first where they must succeed, then
 * on what secure aggregation leaves to a coordinator. Rejects, after all results, where the positive control fails or a
 * single masked update gives anything away: an attack that cannot succeed proves nothing.
 */
export async function* attack({ note }: BenchOptions): AsyncGenerator<object, void, undefined> {
  quietLibrary();
  await startBackend('wasm');
  const spec = await branchSpec();
  const records = await loadRecords(spec);
  const faults: string[] = [];
  note(COLUMNS.map(([name, width]) => name.padEnd(width)).join(''));
  for (const model of Object.keys(ATTACKED_MODELS) as AttackedModel[]) {
    const world = new AttackWorld(attackedJob(spec, model, records.width), records);
    for (const scenario of SCENARIOS) {
      const trials = Array.from({ length: scenario.trials }, (_, trial) => world.run(scenario, trial));
      for (const result of judgeBoth(model, scenario, trials)) {
        note(tableRow(result));
        faults.push(...faultsOf(result));
        yield result;
      }
    }
    world.dispose();
  }
  if (faults.length > 0) throw new Error(faults.join('\n'));
}

function judgeBoth(
  model: AttackedModel,
  scenario: Scenario,
  trials: readonly Trial[],
): readonly AttackResult[] {
  return (['inversion', 'membership'] as const).map((name) => {
    const lineUps = trials.map((trial) => trial[name]);
    const shares = lineUps.map(rankedRight);
    const first = lineUps.filter(isFirst).length;
    const inverts = name === 'inversion';
    return {
      attack: name,
      model,
      ...scenario,
      auc: rounded(mean(shares)),
      aucInterval: roundedInterval(meanInterval(shares)),
      identified: first / trials.length,
      identifiedInterval: roundedInterval(wilson(first, trials.length)),
      chance: CHANCE,
      accuracy: rounded(accuracyOf(lineUps)),
      reconstructionError: inverts ? rounded(median(trials.map(({ error }) => error))) : null,
      labelAccuracy: inverts && scenario.records === 1 ? rounded(labelAccuracy(trials)) : null,
    };
  });
}

/** Mean over the labels of the share recovered: guessing the more frequent one gives 0.5. */
function labelAccuracy(trials: readonly Trial[]): number {
  const shares = [0, 1]
    .map((truth) => trials.filter(({ label }) => label.truth === truth))
    .filter((those) => those.length > 0)
    .map((those) => mean(those.map(({ label }) => Number(label.found === label.truth))));
  return mean(shares);
}

/** What makes a run worthless, or secure aggregation leaky. */
export function faultsOf(result: AttackResult): readonly string[] {
  const { attack: name, model, target, records } = result;
  const of = `${name} of ${model}, ${target}, ${String(records)} records a site`;
  if (target === 'masked') {
    const { aucInterval, identifiedInterval, chance } = result;
    const atChance = aucInterval.low <= 0.5 && aucInterval.high >= 0.5 && identifiedInterval.low <= chance;
    return atChance ? [] : [`${of}: a masked update alone gives something away`];
  }
  if (target === 'sum' || records > 1) return [];
  const { auc, identified, reconstructionError, labelAccuracy: labels } = result;
  const succeeds =
    auc >= CONTROL.share &&
    identified >= CONTROL.share &&
    (reconstructionError ?? 0) < CONTROL.error[target] &&
    (labels ?? 1) >= CONTROL.share;
  return succeeds ? [] : [`${of}: the positive control does not succeed, so that the rest proves nothing`];
}

const COLUMNS = [
  ['model', 10],
  ['attack', 12],
  ['target', 8],
  ['sites', 7],
  ['records', 9],
  [`AUC (${String(100 * LEVEL)} %)`, 22],
  ['identified', 24],
  ['accuracy', 10],
  ['error', 10],
] as const;

function tableRow(result: AttackResult): string {
  const { aucInterval, identifiedInterval, identified, chance, reconstructionError } = result;
  const cells = [
    result.model,
    result.attack,
    result.target,
    String(result.sites),
    String(result.records),
    `${result.auc.toFixed(3)} ${intervalText(aucInterval)}`,
    `${identified.toFixed(3)} ${intervalText(identifiedInterval)}`,
    result.accuracy.toFixed(2),
    reconstructionError === null ? '-' : reconstructionError.toPrecision(2),
  ];
  const text = cells.map((cell, column) => cell.padEnd(COLUMNS[column]?.[1] ?? 0)).join('');
  return `${text} chance ${chance.toFixed(2)}`;
}

const intervalText = ({ low, high }: Interval): string => `(${low.toFixed(3)}-${high.toFixed(3)})`;
const roundedInterval = ({ low, high }: Interval): Interval => ({ low: rounded(low), high: rounded(high) });
