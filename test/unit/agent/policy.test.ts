import assert from 'node:assert/strict';

import {
  parseFederatedJob,
  parseSitePolicy,
  type FederatedJobSpec,
  type SitePolicySpec,
} from '@tributary/proto';
import { evaluatePolicy, type PolicyFacts } from '@tributary/edge-agent/internal/domain/policy.js';
import fc from 'fast-check';

import { altered, jobDocument, policyDocument } from '../../support/job-document.js';

const AUTHOR = `${'A'.repeat(43)}=`;
const LOG = 'ab'.repeat(32);

const facts: PolicyFacts = {
  logId: LOG,
  authorKey: AUTHOR,
  parameters: 16,
  cohort: 3,
  datasets: ['loans'],
  site: 'west',
  sentOnBase: 0,
  trainer: 'Tfjs' as const,
  decision: 'None' as const,
  startsAt: Date.parse('2026-01-05T12:00:00.000Z'),
};

const job = (path?: string, value?: unknown): FederatedJobSpec =>
  parseFederatedJob(path === undefined ? jobDocument() : altered(jobDocument(), `spec.${path}`, value)).spec;
const policy = (path?: string, value?: unknown): SitePolicySpec =>
  parseSitePolicy(path === undefined ? policyDocument() : altered(policyDocument(), `spec.${path}`, value))
    .spec;

const heldOutJob = (site: string, minSites: number): FederatedJobSpec => {
  const evaluation = { metrics: ['auc'], holdOutSite: site };
  return parseFederatedJob(
    altered(altered(jobDocument(), 'spec.minSites', minSites), 'spec.evaluation', evaluation),
  ).spec;
};

interface Refusal {
  readonly title: string;
  readonly policy?: SitePolicySpec | undefined;
  readonly job?: FederatedJobSpec;
  readonly facts?: Partial<PolicyFacts>;
  readonly code: string;
  readonly rule: string;
}

const listed = (columns: readonly string[]): unknown => [{ name: 'loans', columns }];

const REFUSALS: readonly Refusal[] = [
  {
    title: 'another coordinator',
    policy: policy('coordinators', { type: 'Listed', logIds: ['cd'.repeat(32)] }),
    code: 'POLICY_REFUSED',
    rule: 'spec.coordinators',
  },
  {
    title: 'an unknown author',
    facts: { authorKey: `${'B'.repeat(43)}=` },
    code: 'AUTHOR_UNKNOWN',
    rule: 'spec.authors',
  },
  {
    title: 'any author where none is listed',
    policy: policy('authors', []),
    code: 'AUTHOR_UNKNOWN',
    rule: 'spec.authors',
  },
  {
    title: 'a dataset that the site does not declare',
    facts: { datasets: [] },
    code: 'DATASET_UNKNOWN',
    rule: 'datasets',
  },
  {
    title: 'a dataset that the policy does not list',
    policy: policy('datasets', []),
    code: 'POLICY_REFUSED',
    rule: 'spec.datasets',
  },
  {
    title: 'a feature column',
    policy: policy('datasets', listed(['annual_inc', 'Class'])),
    code: 'POLICY_REFUSED',
    rule: 'spec.datasets.columns',
  },
  {
    title: 'the label column',
    policy: policy('datasets', listed(['annual_inc', 'term'])),
    code: 'POLICY_REFUSED',
    rule: 'spec.datasets.columns',
  },
  {
    title: 'a vocabulary that the policy does not hold',
    job: job('features.1', {
      name: 'term',
      type: 'Categorical',
      vocabulary: { name: 'terms', size: 2, digest: `sha256:${'0'.repeat(64)}` },
    }),
    code: 'POLICY_REFUSED',
    rule: 'spec.datasets.vocabularies',
  },
  { title: 'a small cohort', facts: { cohort: 1 }, code: 'POLICY_REFUSED', rule: 'spec.minimumCohort' },
  {
    title: 'a job that commits with too few reports',
    job: job('minSites', 1),
    code: 'POLICY_REFUSED',
    rule: 'spec.minimumCohort',
  },
  {
    title: 'a large model',
    facts: { parameters: 1_000_001 },
    code: 'POLICY_REFUSED',
    rule: 'spec.maximumParameters',
  },
  { title: 'many rounds', job: job('rounds', 1_001), code: 'POLICY_REFUSED', rule: 'spec.maximumRounds' },
  {
    title: 'plain aggregation',
    policy: policy('requireSecureAggregation', true),
    code: 'POLICY_REFUSED',
    rule: 'spec.requireSecureAggregation',
  },
  {
    title: 'an active coordinator where no root is pinned',
    job: job('privacy', { adversary: 'Active' }),
    code: 'POLICY_REFUSED',
    rule: 'spec.federation.root',
  },
  { title: 'a strategy', policy: policy('strategies', []), code: 'POLICY_REFUSED', rule: 'spec.strategies' },
  {
    title: 'a metric',
    job: job('evaluation', { metrics: ['auc'] }),
    code: 'POLICY_REFUSED',
    rule: 'spec.metrics',
  },
  {
    title: 'metrics of each site by its name',
    policy: policy('metrics', ['auc']),
    job: job('evaluation', { metrics: ['auc'], perSite: true }),
    code: 'POLICY_REFUSED',
    rule: 'spec.metricsPerSite',
  },
  {
    title: 'to be held out, which tells of this site alone',
    policy: policy('metrics', ['auc']),
    job: heldOutJob('west', 3),
    code: 'POLICY_REFUSED',
    rule: 'spec.metricsPerSite',
  },
  {
    title: 'a crowd to which a site that is held out is counted',
    policy: policy('metrics', ['auc']),
    job: heldOutJob('north', 2),
    code: 'POLICY_REFUSED',
    rule: 'spec.minimumCohort',
  },
  {
    title: 'a cohort to which a site that is held out is counted',
    policy: policy('metrics', ['auc']),
    job: heldOutJob('north', 3),
    facts: { cohort: 2 },
    code: 'POLICY_REFUSED',
    rule: 'spec.minimumCohort',
  },
  {
    title: 'rounds of a few steps on small batches',
    job: job('training', { steps: 1, batchSize: 1, optimizer: { type: 'Sgd', learningRate: 1 } }),
    code: 'POLICY_REFUSED',
    rule: 'spec.datasets.minCount',
  },
  {
    title: 'more retries on a base model',
    facts: { sentOnBase: 2 },
    code: 'POLICY_REFUSED',
    rule: 'spec.retriesPerBase',
  },
];

describe('site policy', () => {
  it('allows figures of this site alone where it says so, and jobs that hold another site out', () => {
    const rules = policy('metrics', ['auc']);
    assert.ok(evaluatePolicy(rules, heldOutJob('north', 3), facts).allowed);
    const open = { ...rules, metricsPerSite: true };
    assert.ok(evaluatePolicy(open, heldOutJob('west', 3), facts).allowed);
    assert.ok(evaluatePolicy(open, job('evaluation', { metrics: ['auc'], perSite: true }), facts).allowed);
  });

  it('refuses a column that de-identification drops, though every column is allowed', () => {
    const rules = policy('datasets', [
      {
        name: 'loans',
        columns: ['*'],
        deidentification: { drop: ['term'], mask: [], generalise: [] },
        minimumRows: 1,
        minCount: 10,
        vocabularies: [],
      },
    ]);
    const verdict = evaluatePolicy(rules, job(), facts);
    assert.ok(!verdict.allowed);
    assert.deepEqual([verdict.code, verdict.rule], ['POLICY_REFUSED', 'spec.datasets.deidentification.drop']);
  });

  it('refuses everything where there is none', () => {
    const verdict = evaluatePolicy(undefined, job(), facts);
    assert.ok(!verdict.allowed);
    assert.equal(verdict.code, 'POLICY_MISSING');
  });

  it('allows what every rule allows, and says how many rows it takes', () => {
    const rules = policy('datasets', [
      { name: 'loans', columns: ['annual_inc', 'term', 'Class'], minimumRows: 250 },
    ]);
    assert.deepEqual(evaluatePolicy(rules, job(), facts), {
      allowed: true,
      terms: {
        minimumRows: 250,
        minCount: 10,
        vocabularies: [],
        deidentification: { drop: [], mask: [], generalise: [] },
      },
      training: { cpuPercent: 100 },
    });
  });

  it("takes '*' for every column, and listed coordinators", () => {
    const rules = {
      ...policy('datasets', listed(['*'])),
      coordinators: { type: 'Listed' as const, logIds: [LOG] },
    };
    assert.ok(evaluatePolicy(rules, job(), facts).allowed);
  });

  for (const refusal of REFUSALS) {
    it(`refuses ${refusal.title}, naming ${refusal.rule}`, () => {
      const verdict = evaluatePolicy(refusal.policy ?? policy(), refusal.job ?? job(), {
        ...facts,
        ...refusal.facts,
      });
      assert.ok(!verdict.allowed);
      assert.deepEqual([verdict.code, verdict.rule], [refusal.code, refusal.rule]);
      assert.ok(verdict.detail.length > 0);
    });
  }

  it('never allows more because a limit became stricter', () => {
    const numbers = fc.record({
      minimumCohort: fc.integer({ min: 1, max: 6 }),
      maximumParameters: fc.integer({ min: 1, max: 40 }),
      maximumRounds: fc.integer({ min: 1, max: 20 }),
      retriesPerBase: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(numbers, fc.integer({ min: 0, max: 3 }), (given, by) => {
        const stricter = {
          minimumCohort: given.minimumCohort + by,
          maximumParameters: given.maximumParameters - by,
          maximumRounds: given.maximumRounds - by,
          retriesPerBase: given.retriesPerBase - by,
        };
        const one = { ...facts, sentOnBase: 1 };
        if (evaluatePolicy({ ...policy(), ...stricter }, job(), one).allowed)
          assert.ok(evaluatePolicy({ ...policy(), ...given }, job(), one).allowed);
      }),
    );
  });
});
