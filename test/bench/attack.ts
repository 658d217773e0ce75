import { quietLibrary, startBackend } from '@tributary/edge-agent/internal/adapters/training/backend.js';
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
import { faultsOf, type AttackResult } from './attack-verdict.js';
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
  const results: AttackResult[] = [];
  for (const model of Object.keys(ATTACKED_MODELS) as AttackedModel[]) {
    const world = new AttackWorld(attackedJob(spec, model, records.width), records);
    for (const scenario of SCENARIOS) {
      const trials = Array.from({ length: scenario.trials }, (_, trial) => world.run(scenario, trial));
      for (const result of judgeBoth(model, scenario, trials)) {
        results.push(result);
        yield result;
      }
    }
    world.dispose();
  }
  note([heading(), ...results.map(tableRow)].join('\n'));
  const faults = results.flatMap(faultsOf);
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
  ['chance', 6],
] as const;

const heading = (): string => COLUMNS.map(([name, width]) => name.padEnd(width)).join('');

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
    chance.toFixed(2),
  ];
  return cells.map((cell, column) => cell.padEnd(COLUMNS[column]?.[1] ?? 0)).join('');
}

const intervalText = ({ low, high }: Interval): string => `(${low.toFixed(3)}-${high.toFixed(3)})`;
const roundedInterval = ({ low, high }: Interval): Interval => ({ low: rounded(low), high: rounded(high) });
