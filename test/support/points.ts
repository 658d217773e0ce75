import type { FederatedJobInput, Row } from '@tributary/proto';

import { SeededRandom } from './seeded-random.js';

/**
 * A task that small models learn: points of a square, "far" on one side of a line that also depends on the colour. Each
 * site sees another part of the square, so that none of them has it all.
 */
export interface Points {
  readonly rows: readonly (Row & { readonly side: string })[];
  readonly csv: string;
}

export function pointsOf(
  seed: number,
  count: number,
  [from, to]: readonly [number, number] = [-1, 1],
): Points {
  const random = new SeededRandom(seed);
  const uniform = (low: number, high: number): number => low + ((high - low) * random.uint32()) / 2 ** 32;
  const rows = Array.from({ length: count }, () => {
    const [x, y, color] = [uniform(from, to), uniform(-1, 1), random.pick(['red', 'blue'])];
    const side = x + y + (color === 'red' ? 0.3 : -0.3) > 0 ? 'far' : 'near';
    return { x: x.toFixed(5), y: y.toFixed(5), color, side };
  });
  return {
    rows,
    csv: ['x,y,color,side', ...rows.map(({ x, y, color, side }) => [x, y, color, side].join(',')), ''].join(
      '\n',
    ),
  };
}

type Spec = FederatedJobInput['spec'];

/** A job that learns it; parts of the spec may be replaced. */
export function pointsJob(name: string, parts: Partial<Spec> = {}): FederatedJobInput {
  return {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'FederatedJob',
    metadata: { name },
    spec: {
      task: { type: 'Binary', positive: 'far' },
      dataset: { name: 'points', label: 'side', testFraction: 0.25 },
      features: [
        { name: 'x', type: 'Numeric' },
        { name: 'y', type: 'Numeric' },
        { name: 'color', type: 'Categorical', categories: ['red', 'blue'] },
      ],
      model: {
        name: 'points',
        layers: [
          { type: 'Dense', units: 8, activation: 'Relu' },
          { type: 'Dense', units: 1, activation: 'Sigmoid' },
        ],
        seed: 7,
      },
      training: { epochs: 3, batchSize: 16, optimizer: { type: 'Sgd', learningRate: 0.3 } },
      rounds: 4,
      minSites: 3,
      evaluation: { metrics: ['auc', 'accuracy'] },
      privacy: { secureAggregation: false },
      ...parts,
    },
  };
}
