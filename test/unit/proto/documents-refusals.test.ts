import assert from 'node:assert/strict';

import { LIMITS, parseFederatedJob, parseSitePolicy } from '@tributary/proto';

import { expectRefusals, refusal } from '../../support/document-refusals.js';
import { altered, jobDocument, policyDocument } from '../../support/job-document.js';

describe('refusals of documents', () => {
  describe('what it is', () => {
    const kinds = 'use one of FederatedJob, ModelRollout, SitePolicy, StreamPipeline';
    expectRefusals(jobDocument(), 'DOCUMENT_INVALID', [
      ['apiVersion', undefined, 'apiVersion: is missing; write tributary.dev/v1alpha1'],
      ['apiVersion', 'batch/v1', 'apiVersion: "batch/v1" is not known; write tributary.dev/v1alpha1'],
      ['apiVersion', 1, 'apiVersion: is no text; write tributary.dev/v1alpha1'],
      ['kind', undefined, `kind: is missing; ${kinds}`],
      ['kind', 'federatedjob', 'kind: "federatedjob" is not known; did you mean FederatedJob?'],
      ['kind', 'Deployment', `kind: "Deployment" is not known; ${kinds}`],
      ['kind', 'Site', `kind: Site objects are written by the coordinator; ${kinds}`],
      ['kind', ['FederatedJob'], `kind: is no text; ${kinds}`],
      ['kind', '__proto__', `kind: "__proto__" is not known; ${kinds}`],
    ]);
    expectRefusals(jobDocument(), 'DOCUMENT_UNSUPPORTED', [
      [
        'apiVersion',
        'tributary.dev/v1',
        'apiVersion: "tributary.dev/v1" is not served by this version; write tributary.dev/v1alpha1',
      ],
    ]);

    it('anything but a mapping', () => {
      for (const value of [null, 7, 'text', [], true, undefined, Number.NaN, () => 1, Symbol('x'), 1n]) {
        assert.equal(refusal(value).code, 'DOCUMENT_INVALID');
      }
    });

    it('the other kind where one is expected', () => {
      assert.throws(
        () => parseSitePolicy(jobDocument()),
        /kind: is FederatedJob; a SitePolicy is expected here/,
      );
      assert.throws(
        () => parseFederatedJob(policyDocument()),
        /kind: is SitePolicy; a FederatedJob is expected here/,
      );
    });
  });

  describe('unknown fields at every depth', () => {
    expectRefusals(jobDocument(), 'DOCUMENT_INVALID', [
      ['Spec', {}, 'Spec: unknown field; did you mean spec?'],
      ['status', {}, 'status: unknown field; remove it; known here: apiVersion, kind, metadata, spec'],
      ['metadata.label', {}, 'metadata.label: unknown field; did you mean labels?'],
      ['spec.minsites', 3, 'spec.minsites: unknown field; did you mean minSites?'],
      [
        'spec.training.momentum',
        1,
        'spec.training.momentum: unknown field; remove it; known here: epochs, steps, batchSize, optimizer, schedule, loss, classWeights, l2, earlyStopping, seed',
      ],
      [
        'spec.training.optimizer.learning_rate',
        1,
        'spec.training.optimizer.learning_rate: unknown field; did you mean learningRate?',
      ],
      ['spec.features.0.centre', 1, 'spec.features[0].centre: unknown field; did you mean center?'],
      ['spec.model.layers.1.unit', 1, 'spec.model.layers[1].unit: unknown field; did you mean units?'],
      [
        'spec.siteSelector.matchLabel',
        {},
        'spec.siteSelector.matchLabel: unknown field; did you mean matchLabels?',
      ],
      [
        'spec.privacy.a b\u0007',
        1,
        'spec.privacy["a b\\u0007"]: unknown field; remove it; known here: secureAggregation, colluders, dropouts, threshold, adversary',
      ],
    ]);
    expectRefusals(policyDocument(), 'DOCUMENT_INVALID', [
      ['spec.author', [], 'spec.author: unknown field; did you mean authors?'],
      ['spec.datasets.0.column', [], 'spec.datasets[0].column: unknown field; did you mean columns?'],
    ]);

    it('a member named __proto__, which objects hide', () => {
      const document = JSON.parse(
        JSON.stringify(jobDocument()).replace('"rounds"', '"__proto__":{"a":1},"rounds"'),
      ) as unknown;
      assert.match(refusal(document).message, /^__proto__: unknown field; remove it/);
    });
  });

  describe('siblings of a type', () => {
    expectRefusals(jobDocument(), 'DOCUMENT_INVALID', [
      [
        'spec.task.classes',
        ['a', 'b'],
        'spec.task.classes: does not belong to type Binary; remove it, or use type MultiClass',
      ],
      ['spec.task.positive', undefined, 'spec.task.positive: is missing; add it (a text)'],
      ['spec.task', { type: 'MultiClass' }, 'spec.task.classes: is missing; add it (a list)'],
      [
        'spec.task',
        { type: 'Regression', positive: 'x' },
        'spec.task.positive: does not belong to type Regression; remove it, or use type Binary',
      ],
      ['spec.task', {}, 'spec.task.type: is missing; use one of Binary, MultiClass, Regression'],
      ['spec.task.type', 'binary', 'spec.task.type: "binary" is not known; did you mean Binary?'],
      ['spec.task.type', 3, 'spec.task.type: is a whole number; use one of Binary, MultiClass, Regression'],
      [
        'spec.features.1.scale',
        1,
        'spec.features[1].scale: does not belong to type Categorical; remove it, or use type Numeric or Date or Ratio or Sequence',
      ],
      [
        'spec.features.0.categories',
        ['a'],
        'spec.features[0].categories: does not belong to type Numeric; remove it, or use type Categorical',
      ],
      [
        'spec.features.1.categories',
        undefined,
        'spec.features[1].categories: is missing; add it (a list), or a vocabulary',
      ],
      [
        'spec.training.optimizer.momentum',
        0.9,
        'spec.training.optimizer.momentum: does not belong to type Sgd; remove it, or use type Momentum',
      ],
      [
        'spec.training.optimizer.type',
        'Sdg',
        'spec.training.optimizer.type: "Sdg" is not known; did you mean Sgd?',
      ],
    ]);
    expectRefusals(policyDocument(), 'DOCUMENT_INVALID', [
      ['spec.coordinators', { type: 'Listed' }, 'spec.coordinators.logIds: is missing; add it (a list)'],
      [
        'spec.coordinators',
        { type: 'Enrolled', logIds: ['a'.repeat(64)] },
        'spec.coordinators.logIds: does not belong to type Enrolled; remove it, or use type Listed',
      ],
    ]);
  });

  describe('parts that are not served yet, by name', () => {
    const no = 'is not served by this version';
    expectRefusals(jobDocument(), 'DOCUMENT_UNSUPPORTED', [
      [
        'spec.privacy.differentialPrivacy',
        { epsilon: 1 },
        `spec.privacy.differentialPrivacy: differentialPrivacy ${no}; leave it out only if the job needs no such guarantee`,
      ],
      ['spec.mode', { type: 'Buffered', size: 4 }, `spec.mode.type: "Buffered" ${no}; use Sync`],
      ['spec.strategy', { type: 'FedProx' }, `spec.strategy.type: "FedProx" ${no}; use FedAvg`],
      [
        'spec.evaluation',
        { gates: [] },
        `spec.evaluation.gates: gates ${no}; leave it out and judge the metrics yourself`,
      ],
      [
        'spec.task.type',
        'Survival',
        `spec.task.type: "Survival" ${no}; use Binary, MultiClass or Regression`,
      ],
      [
        'spec.features.1.type',
        'Hashed',
        `spec.features[1].type: "Hashed" ${no}; use Numeric, Categorical, Date, Ratio or Sequence`,
      ],
      [
        'spec.update',
        { encoding: 'bf16' },
        `spec.update.encoding: encoding ${no}; leave it out: updates travel as float32`,
      ],
    ]);
    for (const field of ['federationRoot', 'peers', 'differentialPrivacy']) {
      it(`spec.${field} of a policy`, () => {
        const error = refusal(altered(policyDocument(), `spec.${field}`, {}));
        assert.equal(error.code, 'DOCUMENT_UNSUPPORTED');
        assert.ok(
          error.message.startsWith(`spec.${field}: ${field} is not served by this version; leave it out`),
        );
      });
    }
  });

  it('lists every problem at once, and counts those beyond twenty', () => {
    const three = altered(
      altered(altered(jobDocument(), 'spec.rounds', 0), 'spec.foo', 1),
      'metadata.name',
      '-',
    );
    assert.deepEqual(refusal(three).fields, { problems: 3, path: 'metadata.name' });
    assert.equal(refusal(three).message.split('\n').length, 3);
    const features = Array.from({ length: 30 }, () => ({ name: 1, type: 'Numeric' }));
    const lines = refusal(altered(jobDocument(), 'spec.features', features)).message.split('\n');
    assert.equal(lines.length, 21);
    assert.equal(lines.at(-1), 'and 10 more');
  });

  it('repeats no long foreign text', () => {
    const error = refusal(altered(jobDocument(), `spec.${'x'.repeat(10_000)}`, 'y'.repeat(10_000)));
    assert.ok(error.message.length < 10_500);
    assert.ok(refusal(altered(jobDocument(), 'spec.task.type', 'y'.repeat(10_000))).message.length < 300);
  });

  it('has limits of size and depth', () => {
    assert.equal(
      refusal(altered(jobDocument(), 'metadata.labels', { a: 'x'.repeat(LIMITS.documentBytes) })).code,
      'LIMIT_EXCEEDED',
    );
    let deep: unknown = 1;
    for (let level = 0; level < LIMITS.jsonDepth + 1; level += 1) deep = [deep];
    assert.equal(refusal(altered(jobDocument(), 'spec.deep', deep)).code, 'LIMIT_EXCEEDED');
    const cycle: Record<string, unknown> = { ...jobDocument() };
    cycle['self'] = cycle;
    assert.equal(refusal(cycle).code, 'LIMIT_EXCEEDED');
  });
});
