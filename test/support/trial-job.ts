import type { FederatedJobInput } from '@tributary/proto';

type Spec = FederatedJobInput['spec'];

/** A small job over the trial dataset, as an author would write it; parts of the spec may be replaced. */
export function trialJob(name: string, parts: Partial<Spec> = {}): FederatedJobInput {
  return {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'FederatedJob',
    metadata: { name },
    spec: {
      task: { type: 'Binary', positive: 'yes' },
      dataset: { name: 'trial', label: 'y', testFraction: 0.25, splitSeed: 3 },
      features: [
        { name: 'x1', type: 'Numeric' },
        { name: 'c', type: 'Categorical', categories: ['red', 'blue'] },
      ],
      model: { name, layers: [{ type: 'Dense', units: 1, activation: 'Sigmoid' }], seed: 5 },
      training: { epochs: 1, batchSize: 16, optimizer: { type: 'Sgd', learningRate: 0.2 }, seed: 1 },
      rounds: 1,
      minSites: 2,
      roundDeadlineSeconds: 120,
      evaluation: { metrics: ['auc'] },
      privacy: { secureAggregation: false },
      ...parts,
    },
  };
}

export const TRIAL_METRICS: readonly string[] = ['auc'];
