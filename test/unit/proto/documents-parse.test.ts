import assert from 'node:assert/strict';

import {
  canonicalize,
  DOCUMENT_KINDS,
  METRIC_NAMES,
  parseDocument,
  parseDocumentBytes,
  parseFederatedJob,
  parseSitePolicy,
  TributaryError,
} from '@tributary/proto';
import { isName } from '@tributary/proto/internal/ids.js';
import { nameSchema } from '@tributary/proto/internal/documents/metadata.js';
import { nearest } from '@tributary/proto/internal/documents/nearest.js';
import fc from 'fast-check';

import { jobDocument, policyDocument, type Loose } from '../../support/job-document.js';

describe('parseDocument', () => {
  it('fills in the defaults of a job', () => {
    assert.deepEqual(parseFederatedJob(jobDocument()), {
      apiVersion: 'tributary.dev/v1alpha1',
      kind: 'FederatedJob',
      metadata: { name: 'loans', labels: {} },
      spec: {
        task: { type: 'Binary', positive: 'bad' },
        dataset: { name: 'loans', label: 'Class', testFraction: 0.25, splitSeed: 1 },
        features: [
          {
            name: 'annual_inc',
            type: 'Numeric',
            transform: 'Log1p',
            scaling: 'Given',
            center: 11,
            scale: 0.6,
            impute: 65_000,
            clip: 4,
            indicator: false,
          },
          { name: 'term', type: 'Categorical', categories: ['term_36', 'term_60'], encoding: 'OneHot' },
        ],
        model: {
          name: 'loans',
          layers: [
            { type: 'Dense', units: 3, activation: 'Relu' },
            { type: 'Dense', units: 1, activation: 'Sigmoid' },
          ],
          seed: 1,
        },
        training: { epochs: 1, batchSize: 32, optimizer: { type: 'Sgd', learningRate: 0.1 }, l2: 0, seed: 1 },
        siteSelector: { matchLabels: {} },
        rounds: 10,
        minSites: 2,
        cohortSize: 0,
        overSelection: 0,
        roundDeadlineSeconds: 300,
        mode: { type: 'Sync' },
        strategy: { type: 'FedAvg' },
        update: { clipNorm: 10, weightCap: 10_000 },
        evaluation: { metrics: [] },
        privacy: { secureAggregation: false },
        suspend: false,
        activeDeadlineSeconds: 86_400,
        ttlSecondsAfterFinished: 0,
      },
    });
  });

  it('fills in the defaults of features, layers and optimizers', () => {
    const document = jobDocument();
    document.spec.features = [{ name: 'x', type: 'Numeric' }];
    document.spec.model.layers = [
      { type: 'Dense', units: 2 },
      { type: 'Dense', units: 1, activation: 'Sigmoid' },
    ];
    document.spec.training.optimizer = { type: 'Momentum', learningRate: 0.1 };
    const { spec } = parseFederatedJob(document);
    assert.deepEqual(spec.features, [
      {
        name: 'x',
        type: 'Numeric',
        transform: 'Identity',
        scaling: 'Given',
        center: 0,
        scale: 1,
        clip: 1_000_000,
        indicator: false,
      },
    ]);
    const [layer] = spec.model.layers;
    assert.ok(layer?.type === 'Dense' && layer.activation === 'Linear');
    assert.deepEqual(spec.training.optimizer, { type: 'Momentum', learningRate: 0.1, momentum: 0.9 });
  });

  it('fills in the defaults of a policy, all of them careful', () => {
    assert.deepEqual(parseSitePolicy(policyDocument()).spec, {
      coordinators: { type: 'Enrolled' },
      compute: { cpuPercent: 100 },
      approval: { type: 'Automatic' },
      authors: [{ name: 'analyst', key: `${'A'.repeat(43)}=` }],
      datasets: [
        {
          name: 'loans',
          columns: ['annual_inc', 'term', 'Class'],
          minimumRows: 100,
          minCount: 10,
          vocabularies: [],
          deidentification: { drop: [], mask: [], generalise: [] },
        },
      ],
      minimumCohort: 2,
      maximumParameters: 1_000_000,
      maximumRounds: 1_000,
      requireSecureAggregation: false,
      strategies: ['FedAvg'],
      metrics: [],
      metricsPerSite: false,
      retriesPerBase: 1,
    });
  });

  it('gives a document that parses to itself', () => {
    for (const document of [jobDocument(), policyDocument()]) {
      const parsed = parseDocument(document);
      assert.deepEqual(parseDocument(parsed), parsed);
      assert.deepEqual(parseDocumentBytes(canonicalize(parsed)), parsed);
    }
  });

  it('shares nothing with its input', () => {
    const document = jobDocument();
    const parsed = parseFederatedJob(document);
    document.spec.features.pop();
    assert.equal(parsed.spec.features.length, 2);
  });

  it('takes a MultiClass and a Regression job', () => {
    const document = jobDocument();
    document.spec.task = { type: 'MultiClass', classes: ['a', 'b', 'c'] };
    document.spec.model.layers = [{ type: 'Dense', units: 3, activation: 'Softmax' }];
    document.spec.evaluation = { metrics: ['accuracy', 'logLoss'] };
    assert.equal(parseFederatedJob(document).spec.task.type, 'MultiClass');
    document.spec.task = { type: 'Regression' };
    document.spec.model.layers = [{ type: 'Dense', units: 1 }];
    document.spec.evaluation = { metrics: ['rmse', 'mae'] };
    assert.equal(parseFederatedJob(document).spec.task.type, 'Regression');
  });

  it('refuses bytes that are not canonical', () => {
    const bytes = new TextEncoder().encode(JSON.stringify(jobDocument(), undefined, 1));
    assert.throws(() => parseDocumentBytes(bytes), { code: 'INVALID_ARGUMENT' });
  });

  it('throws nothing but TributaryError, whatever the JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => onlyOurErrors(value)),
      { numRuns: 500 },
    );
  });

  it('throws nothing but TributaryError for documents with anything in any place', () => {
    for (const document of [jobDocument(), policyDocument()] as unknown[]) {
      const paths = pathsOf(document);
      const anything = fc.oneof(
        fc.jsonValue(),
        fc.constantFrom(...DOCUMENT_KINDS, ...METRIC_NAMES, 'Conv2d', -0, 1e308),
      );
      const property = fc.property(
        fc.constantFrom(...paths),
        anything,
        fc.boolean(),
        (path, value, added) => {
          const copy = structuredClone(document) as Loose;
          const parent = path.slice(0, -1).reduce((at, step) => at[step] as Loose, copy);
          parent[added ? `x${String(path.at(-1))}` : (path.at(-1) ?? '')] = value as Loose;
          return onlyOurErrors(copy);
        },
      );
      fc.assert(property, { numRuns: 1_000 });
    }
  });
});

describe('names in documents', () => {
  it('are those of ids.ts', () => {
    const characters = fc.string({ unit: fc.constantFrom('a', 'z', '0', '-', '.', 'A', '_'), maxLength: 66 });
    fc.assert(
      fc.property(characters, (text) => {
        assert.equal(nameSchema.safeParse(text).success, isName(text));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('nearest', () => {
  it('finds misspellings and nothing else', () => {
    const fields = ['rounds', 'minSites', 'cohortSize', 'model', 'mode'];
    assert.equal(nearest('round', fields), 'rounds');
    assert.equal(nearest('MINSITES', fields), 'minSites');
    assert.equal(nearest('cohort_size', fields), 'cohortSize');
    assert.equal(nearest('modle', fields), 'model');
    assert.equal(nearest('quux', fields), undefined);
    assert.equal(nearest('', fields), undefined);
    assert.equal(nearest('r'.repeat(65), ['r'.repeat(65)]), undefined);
  });
});

function onlyOurErrors(value: unknown): boolean {
  try {
    parseDocument(value);
    return true;
  } catch (error) {
    return error instanceof TributaryError && error.message.length > 0;
  }
}

function pathsOf(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [
    [key],
    ...pathsOf(child).map((path) => [key, ...path]),
  ]);
}
