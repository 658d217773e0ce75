import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  compileFeatures,
  digestOf,
  initialWeights,
  layoutOf,
  parseFederatedJob,
  type FederatedJobInput,
  type FederatedJobSpec,
  type Layout,
} from '@tributary/proto';
import type { DatasetHandle } from '@tributary/edge-agent/internal/ports.js';

import { SeededRandom } from './seeded-random.js';

/** A small job on two numeric columns, x1 and x2, and a category c, with the label y; parts may be replaced. */
export function trainingSpec(parts: Partial<FederatedJobInput['spec']> = {}): FederatedJobSpec {
  return parseFederatedJob({
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'FederatedJob',
    metadata: { name: 'trial' },
    spec: {
      task: { type: 'Binary', positive: 'yes' },
      dataset: { name: 'trial', label: 'y', testFraction: 0.25, splitSeed: 3 },
      features: [
        { name: 'x1', type: 'Numeric' },
        { name: 'x2', type: 'Numeric', center: 1, scale: 2 },
        { name: 'c', type: 'Categorical', categories: ['red', 'blue'] },
      ],
      model: {
        name: 'trial',
        layers: [
          { type: 'Dense', units: 4, activation: 'Tanh' },
          { type: 'Dense', units: 1, activation: 'Sigmoid' },
        ],
        seed: 5,
      },
      training: { epochs: 2, batchSize: 16, optimizer: { type: 'Sgd', learningRate: 0.2 }, seed: 11 },
      rounds: 2,
      minSites: 1,
      evaluation: { metrics: ['auc', 'accuracy'] },
      privacy: { secureAggregation: false },
      ...parts,
    },
  }).spec;
}

/** Layout and initial weights of the job's model. */
export function modelOf(spec: FederatedJobSpec): { readonly layout: Layout; readonly weights: Float32Array } {
  const { shape } = compileFeatures(spec.features);
  const { layers, seed } = spec.model;
  return { layout: layoutOf(layers, shape), weights: initialWeights(layers, shape, seed) };
}

/** Rows for {@link trainingSpec} as CSV: y is "yes" mostly where x1 + x2 is large or c is red. */
export function trialCsv(rows: number, seed = 1): string {
  const random = new SeededRandom(seed);
  const unit = (): number => random.uint32() / 2 ** 31 - 1;
  const lines = Array.from({ length: rows }, () => {
    const [x1, x2, c] = [unit(), 1 + 2 * unit(), random.pick(['red', 'blue', 'green'])];
    const score = 2 * x1 + x2 - 1 + (c === 'red' ? 1 : -0.5) + unit();
    return `${x1.toFixed(4)},${x2.toFixed(4)},${c},${score > 0 ? 'yes' : 'no'}`;
  });
  return `x1,x2,c,y\n${lines.join('\n')}\n`;
}

/** A declared dataset in the CSV file at `path`, on the terms of a policy that says nothing about rows. */
export function datasetHandle(
  path: string,
  minimumRows = 1,
  parts: Partial<DatasetHandle> = {},
): DatasetHandle {
  const source = {
    name: 'source',
    path,
    format: 'Csv',
    delimiter: ',',
    quote: '"',
    encoding: 'Utf8',
  } as const;
  return {
    name: 'trial',
    declaration: { name: 'trial', sources: [source] },
    declarationDigest: digestOf(new Uint8Array()),
    scratchDir: join(tmpdir(), 'tributary-scratch'),
    versionKey: new Uint8Array(32).fill(7),
    minimumRows,
    minCount: 10,
    vocabularies: [],
    deidentification: { drop: [], mask: [], generalise: [] },
    ...parts,
  };
}
