import type { FederatedJobInput } from '@tributary/proto';

import { SeededRandom } from '../../support/seeded-random.js';
import { plantedJob, plantedRows } from './site.js';

/** Rows by site: of five digits, so that a count that is told is known when it is seen. The last one trains longest. */
export const SECURE_SITES: Readonly<Record<string, number>> = {
  basel: 13_411,
  delft: 14_537,
  lund: 15_683,
  turin: 48_829,
};

export function secureCsv(seed: number, count: number): string {
  const random = new SeededRandom(seed);
  const planted = plantedRows();
  const rows = Array.from({ length: count - planted.length }, () => {
    const [x1, x2, c] = [1_000 + random.below(500_000), 390 + random.below(20), random.pick(['red', 'blue'])];
    const y = x2 + random.below(10) + (c === 'red' ? 3 : 0) > 405 ? 'yes' : 'no';
    return `${String(x1)},${String(x2)},${c},nothing,${y}`;
  });
  return ['x1,x2,c,note,y', ...planted, ...rows, ''].join('\n');
}

const TRAINING: FederatedJobInput['spec']['training'] = {
  epochs: 1,
  batchSize: 256,
  optimizer: { type: 'Sgd', learningRate: 0.05 },
  seed: 1,
};

/** About 17,000 parameters none of which rests. */
export function secureJob(
  name: string,
  privacy: FederatedJobInput['spec']['privacy'],
  parts: Partial<FederatedJobInput['spec']> = {},
): FederatedJobInput {
  return plantedJob(name, 'clinics', {
    model: {
      name,
      layers: [
        { type: 'Dense', units: 128, activation: 'Tanh' },
        { type: 'Dense', units: 128, activation: 'Tanh' },
        { type: 'Dense', units: 1, activation: 'Sigmoid' },
      ],
      seed: 3,
    },
    training: TRAINING,
    rounds: 3,
    minSites: 3,
    roundDeadlineSeconds: 120,
    update: { clipNorm: 1, weightCap: 20_000 },
    evaluation: { metrics: ['auc', 'logLoss'], intervals: true },
    privacy,
    ...parts,
  });
}
