import type { FederatedJobInput } from '@tributary/proto';

import { SeededRandom } from '../../support/seeded-random.js';
import { trialJob } from '../../support/trial-job.js';
import { numberNeedles, textNeedles, type Needle, type PlantedNumber } from './planted.js';

const LOG_CENTER = 1;
const LOG_SCALE = 4;
const CENTER = 400;
const SCALE = 3;

const income = 734_129.625;
const height = 407.377_5;

/** Numbers of cells that are used. */
export const PLANTED_NUMBERS: readonly PlantedNumber[] = [
  {
    value: income,
    derived: { log1p: Math.log1p(income), scaled: (Math.log1p(income) - LOG_CENTER) / LOG_SCALE },
  },
  { value: height, derived: { centred: height - CENTER, scaled: (height - CENTER) / SCALE } },
];

/** A cell that is no number, a category that the job does not name, and a cell of a column that the job does not use. */
export const PLANTED_TEXTS = {
  broken: '91827.364,55kr',
  category: 'zanzibarite',
  unused: 'Übelkeit seit 1987-03-12',
} as const;

export const NEEDLES: readonly Needle[] = [
  ...PLANTED_NUMBERS.flatMap(numberNeedles),
  ...Object.values(PLANTED_TEXTS).flatMap(textNeedles),
  // A category may be told in part; the number at the beginning of the broken cell too.
  ...textNeedles(PLANTED_TEXTS.category.slice(0, 8)),
  ...textNeedles(PLANTED_TEXTS.broken.slice(0, 8)),
];

/** What the leaking trainer puts into an update. */
export const LEAKED_NUMBER = PLANTED_NUMBERS[1]?.derived['scaled'] ?? Number.NaN;

/** Rows of a site with the planted cells; `broken` adds the one that cannot be read. */
export function plantedCsv(seed: number, broken: boolean): string {
  const random = new SeededRandom(seed);
  const rows = Array.from({ length: 80 }, () => {
    const [x1, x2, c] = [1_000 + random.below(500_000), 390 + random.below(20), random.pick(['red', 'blue'])];
    return `${String(x1)},${String(x2)},${c},nothing,${random.chance(0.5) ? 'yes' : 'no'}`;
  });
  const planted = plantedRows();
  if (broken) planted.push(`2000,"${PLANTED_TEXTS.broken}",red,nothing,no`);
  // Each twice, next to one another: whatever the split, one of them is trained on more often than not.
  return ['x1,x2,c,note,y', ...rows.slice(0, 40), ...planted, ...rows.slice(40), ...planted, ''].join('\n');
}

/** Rows with the planted cells, but for the one that cannot be read. */
export const plantedRows = (): string[] => [
  `${String(income)},400,red,nothing,yes`,
  `2000,${String(height)},blue,nothing,no`,
  `2000,400,${PLANTED_TEXTS.category},nothing,no`,
  `2000,400,red,${PLANTED_TEXTS.unused},no`,
];

export function plantedJob(
  name: string,
  pool: string,
  parts: Partial<FederatedJobInput['spec']> = {},
): FederatedJobInput {
  return trialJob(name, {
    features: [
      { name: 'x1', type: 'Numeric', transform: 'Log1p', center: LOG_CENTER, scale: LOG_SCALE, clip: 100 },
      { name: 'x2', type: 'Numeric', center: CENTER, scale: SCALE, clip: 100 },
      { name: 'c', type: 'Categorical', categories: ['red', 'blue'] },
    ],
    // One row per step: gradients are as close to single rows as they can be.
    training: { epochs: 1, batchSize: 1, optimizer: { type: 'Sgd', learningRate: 0.05 }, seed: 1 },
    siteSelector: { matchLabels: { pool } },
    rounds: 2,
    minSites: 1,
    update: { weightCap: 1 },
    ...parts,
  });
}
