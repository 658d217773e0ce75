import type { FederatedJobInput, SitePolicyInput } from '@tributary/proto';

/** Any plain value of a test, to be broken on purpose. */
export interface Loose {
  [key: string]: Loose;
}

/** A small valid job, as an author would write it. */
export function jobDocument(): FederatedJobInput {
  return {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'FederatedJob',
    metadata: { name: 'loans' },
    spec: {
      task: { type: 'Binary', positive: 'bad' },
      dataset: { name: 'loans', label: 'Class' },
      features: [
        {
          name: 'annual_inc',
          type: 'Numeric',
          transform: 'Log1p',
          center: 11,
          scale: 0.6,
          impute: 65_000,
          clip: 4,
        },
        { name: 'term', type: 'Categorical', categories: ['term_36', 'term_60'] },
      ],
      model: {
        name: 'loans',
        layers: [
          { type: 'Dense', units: 3, activation: 'Relu' },
          { type: 'Dense', units: 1, activation: 'Sigmoid' },
        ],
      },
      training: { optimizer: { type: 'Sgd', learningRate: 0.1 } },
      rounds: 10,
      privacy: { secureAggregation: false },
    },
  };
}

/** A small valid policy. */
export function policyDocument(): SitePolicyInput {
  return {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'SitePolicy',
    metadata: { name: 'branch-west' },
    spec: {
      authors: [{ name: 'analyst', key: `${'A'.repeat(43)}=` }],
      datasets: [{ name: 'loans', columns: ['annual_inc', 'term', 'Class'] }],
    },
  };
}

/** A copy of `document` with the value at a dotted path replaced, or removed where `value` is undefined. */
export function altered(document: unknown, path: string, value: unknown): unknown {
  const copy = structuredClone(document) as Loose;
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  let target = copy;
  for (const step of steps) target = target[step] ?? (target[step] = {});
  if (value === undefined) delete target[last];
  else target[last] = value as Loose;
  return copy;
}
