import {
  compileFeatures,
  initialWeights,
  layoutOf,
  parseFederatedJob,
  type FederatedJob,
} from '@tributary/proto';

/** Units of the second of two hidden layers; the first gets as many as the size asks for. */
const UNITS = 2_000;

/** A job whose update has about `megabytes` MB, over one numeric column. */
export function wideJob(
  name: string,
  megabytes: number,
  rounds: number,
  sites: number,
  secureAggregation = false,
): FederatedJob {
  const units = Math.max(1, Math.round((megabytes * 250_000) / (UNITS + 2)));
  return parseFederatedJob({
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'FederatedJob',
    metadata: { name },
    spec: {
      task: { type: 'Binary', positive: 'yes' },
      dataset: { name: 'rows', label: 'label' },
      features: [{ name: 'x', type: 'Numeric', center: 0, scale: 1 }],
      model: {
        name,
        layers: [
          { type: 'Dense', units, activation: 'Relu' },
          { type: 'Dense', units: UNITS, activation: 'Relu' },
          { type: 'Dense', units: 1, activation: 'Sigmoid' },
        ],
      },
      training: { epochs: 1, batchSize: 32, optimizer: { type: 'Sgd', learningRate: 0.1 } },
      rounds,
      minSites: sites,
      update: { clipNorm: 10, weightCap: 1 },
      privacy: { secureAggregation },
    },
  });
}

/** Parameters of the job's model. */
export function parametersOf({ spec }: FederatedJob): number {
  return layoutOf(spec.model.layers, compileFeatures(spec.features).shape).length;
}

/** The model before the first round. */
export function initialOf({ spec }: FederatedJob): Float32Array {
  return initialWeights(spec.model.layers, compileFeatures(spec.features).shape, spec.model.seed);
}

/** Two rows: the replaced trainer reads none. */
export const TWO_ROWS = 'x,label\n0,no\n1,yes\n';
