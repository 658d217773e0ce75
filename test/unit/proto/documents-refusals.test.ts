import assert from 'node:assert/strict';

import {
  LIMITS,
  parseDocument,
  parseFederatedJob,
  parseSitePolicy,
  TributaryError,
  type ErrorCode,
} from '@tributary/proto';

import { altered, jobDocument, policyDocument } from '../../support/job-document.js';

function refusal(value: unknown): TributaryError {
  try {
    parseDocument(value);
  } catch (error) {
    assert.ok(error instanceof TributaryError);
    return error;
  }
  throw new assert.AssertionError({ message: 'the document was accepted' });
}

function expectRefusals(
  document: unknown,
  code: ErrorCode,
  cases: readonly (readonly [string, unknown, string])[],
): void {
  for (const [path, value, message] of cases) {
    it(`${path} = ${JSON.stringify(value) ?? 'absent'}`, () => {
      const error = refusal(altered(document, path, value));
      assert.equal(error.message, message);
      assert.equal(error.code, code);
    });
  }
}

describe('refusals of documents', () => {
  describe('what it is', () => {
    const kinds = 'use one of FederatedJob, SitePolicy';
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
      ['kind', 'ModelRollout', `kind: ModelRollout is not served by this version; ${kinds}`],
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
        'spec.training.momentum: unknown field; remove it; known here: epochs, batchSize, optimizer, l2, seed',
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
        'spec.privacy["a b\\u0007"]: unknown field; remove it; known here: secureAggregation',
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
        'spec.features[1].scale: does not belong to type Categorical; remove it, or use type Numeric',
      ],
      [
        'spec.features.0.categories',
        ['a'],
        'spec.features[0].categories: does not belong to type Numeric; remove it, or use type Categorical',
      ],
      ['spec.features.1.categories', undefined, 'spec.features[1].categories: is missing; add it (a list)'],
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

  describe('types, ranges and forms', () => {
    const name = 'not a name; use a-z 0-9 - . and begin and end with a letter or digit';
    expectRefusals(jobDocument(), 'DOCUMENT_INVALID', [
      ['metadata.name', 'Loans', `metadata.name: ${name}`],
      ['metadata.name', 'a..b', `metadata.name: ${name}`],
      ['metadata.name', 'a'.repeat(64), 'metadata.name: must have at most 63 characters; shorten it'],
      [
        'metadata.labels',
        { 'a b': '' },
        'metadata.labels["a b"]: not a label key; use letters, digits and . _ / -, with a letter or digit at both ends',
      ],
      [
        'metadata.labels',
        { a: 'ä' },
        'metadata.labels.a: not a label value; use letters, digits and . _ -, with a letter or digit at both ends',
      ],
      ['spec.rounds', undefined, 'spec.rounds: is missing; add it (a number)'],
      ['spec.rounds', '10', 'spec.rounds: is a text; write a number'],
      ['spec.rounds', 1.5, 'spec.rounds: is a number with a fraction; write a whole number'],
      ['spec.rounds', 0, 'spec.rounds: must be at least 1; raise it'],
      ['spec.rounds', 10_001, 'spec.rounds: must be at most 10000; lower it'],
      ['spec.privacy', undefined, 'spec.privacy: is missing; add it (a mapping)'],
      ['spec.privacy', {}, 'spec.privacy.secureAggregation: is missing; add it (true or false)'],
      [
        'spec.privacy.secureAggregation',
        'no',
        'spec.privacy.secureAggregation: is a text; write true or false',
      ],
      ['spec.dataset', null, 'spec.dataset: is empty; write a mapping'],
      ['spec.dataset.label', ' Class', 'spec.dataset.label: begins or ends with a space; remove it'],
      ['spec.dataset.label', 'Cl\u001bass', 'spec.dataset.label: holds a control character; remove it'],
      ['spec.dataset.testFraction', 0.95, 'spec.dataset.testFraction: must be at most 0.9; lower it'],
      ['spec.features', [], 'spec.features: must have at least 1 items; add some'],
      ['spec.features.0.scale', 0, 'spec.features[0].scale: must be at least 1e-9; raise it'],
      ['spec.features.0.clip', 0, 'spec.features[0].clip: must be more than 0; raise it'],
      [
        'spec.features.1.categories',
        ['a', 'a'],
        'spec.features[1].categories: a category is listed twice; list each once',
      ],
      [
        'spec.training.optimizer.learningRate',
        0,
        'spec.training.optimizer.learningRate: must be more than 0; raise it',
      ],
      [
        'spec.training.optimizer',
        { type: 'Momentum', learningRate: 1, momentum: 1 },
        'spec.training.optimizer.momentum: must be less than 1; lower it',
      ],
      [
        'spec.model.layers.0.activation',
        'relu',
        'spec.model.layers[0].activation: "relu" is not known; did you mean Relu?',
      ],
      ['spec.model.layers.0.units', 70_000, 'spec.model.layers[0].units: must be at most 65536; lower it'],
      [
        'spec.evaluation',
        { metrics: ['AUC'] },
        'spec.evaluation.metrics[0]: "AUC" is not known; did you mean auc?',
      ],
      [
        'spec.evaluation',
        { metrics: ['auc', 'auc'] },
        'spec.evaluation.metrics: a metric is listed twice; list each once',
      ],
      ['spec.evaluation', { metrics: 'auc' }, 'spec.evaluation.metrics: is a text; write a list'],
      ['spec.update', { clipNorm: 0 }, 'spec.update.clipNorm: must be at least 0.000001; raise it'],
      ['spec.suspend', 1, 'spec.suspend: is a whole number; write true or false'],
    ]);
    const key = 'not an Ed25519 public key; give its 32 bytes in base64 (44 characters)';
    expectRefusals(policyDocument(), 'DOCUMENT_INVALID', [
      ['spec.authors', undefined, 'spec.authors: is missing; add it (a list)'],
      ['spec.authors.0.key', 'abc', `spec.authors[0].key: ${key}`],
      ['spec.authors.0.key', `${'A'.repeat(42)}B=`, `spec.authors[0].key: ${key}`],
      ['spec.datasets.0.columns', '*', 'spec.datasets[0].columns: is a text; write a list'],
      [
        'spec.datasets.0.columns',
        ['*', 'a'],
        "spec.datasets[0].columns: '*' stands alone; list it or columns, not both",
      ],
      [
        'spec.coordinators',
        { type: 'Listed', logIds: ['x'] },
        'spec.coordinators.logIds[0]: not a log id; copy the 64 hex digits that `tributary version` prints',
      ],
      ['spec.strategies', ['Krum'], 'spec.strategies[0]: "Krum" is not known; write FedAvg'],
      ['spec.retriesPerBase', -1, 'spec.retriesPerBase: must be at least 0; raise it'],
    ]);
  });

  describe('parts that are not served yet, by name', () => {
    const no = 'is not served by this version';
    expectRefusals(jobDocument(), 'DOCUMENT_UNSUPPORTED', [
      [
        'spec.privacy.secureAggregation',
        true,
        `spec.privacy.secureAggregation: secureAggregation ${no}; set it to false only if the coordinator may see updates`,
      ],
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
      ['spec.model.layers.0.type', 'Conv2d', `spec.model.layers[0].type: "Conv2d" ${no}; use Dense`],
      [
        'spec.training.optimizer.type',
        'RmsProp',
        `spec.training.optimizer.type: "RmsProp" ${no}; use Sgd, Momentum or Adam`,
      ],
      [
        'spec.task.type',
        'Survival',
        `spec.task.type: "Survival" ${no}; use Binary, MultiClass or Regression`,
      ],
      ['spec.features.1.type', 'Hashed', `spec.features[1].type: "Hashed" ${no}; use Numeric or Categorical`],
      [
        'spec.update',
        { encoding: 'bf16' },
        `spec.update.encoding: encoding ${no}; leave it out: updates travel as float32`,
      ],
    ]);
    for (const field of [
      'federationRoot',
      'peers',
      'differentialPrivacy',
      'schedule',
      'resources',
      'approvals',
    ]) {
      it(`spec.${field} of a policy`, () => {
        const error = refusal(altered(policyDocument(), `spec.${field}`, {}));
        assert.equal(error.code, 'DOCUMENT_UNSUPPORTED');
        assert.ok(
          error.message.startsWith(`spec.${field}: ${field} is not served by this version; leave it out`),
        );
      });
    }
  });

  describe('fields that do not fit together', () => {
    const dense = (units: number, activation: string) => ({ type: 'Dense', units, activation });
    expectRefusals(jobDocument(), 'DOCUMENT_INVALID', [
      [
        'spec.dataset.label',
        'term',
        'spec.features[1].name: is the label column, which would leak the answer; remove the feature',
      ],
      [
        'spec.features.1.name',
        'annual_inc',
        'spec.features[1].name: column "annual_inc" is used by spec.features[0] already; remove one of them',
      ],
      [
        'spec.features.0.impute',
        -1,
        'spec.features[0].impute: Log1p is undefined there; choose a value above -1',
      ],
      [
        'spec.features.1.categories',
        ['a', 'NA'],
        'spec.features[1].categories[1]: "NA" counts as missing and would never be met; remove it, or leave it out of the feature\'s missing list',
      ],
      [
        'spec.model.layers',
        [dense(2, 'Sigmoid')],
        'spec.model.layers[0].units: the last layer of a task of type Binary has 1 units; write 1',
      ],
      [
        'spec.model.layers',
        [dense(1, 'Linear')],
        'spec.model.layers[0].activation: the last layer of a task of type Binary is Sigmoid; write Sigmoid',
      ],
      [
        'spec.model.layers',
        [dense(4, 'Softmax'), dense(1, 'Sigmoid')],
        'spec.model.layers[0].activation: Softmax belongs to the last layer; use Relu or Tanh',
      ],
      [
        'spec.model.layers',
        [dense(65_536, 'Relu'), dense(65_536, 'Relu'), dense(1, 'Sigmoid')],
        'spec.model.layers: 4295426049 parameters are more than 500000000; use fewer units or fewer categories',
      ],
      [
        'spec.evaluation',
        { metrics: ['auc', 'rmse'] },
        'spec.evaluation.metrics[1]: rmse does not fit a task of type Binary; remove it',
      ],
      [
        'spec.cohortSize',
        1,
        'spec.cohortSize: a cohort of 1 never delivers the 2 updates of minSites; raise it, lower minSites, or set it to 0 (all sites)',
      ],
      [
        'spec.overSelection',
        0.5,
        'spec.overSelection: there is nothing to select beyond all sites; set it to 0, or give cohortSize',
      ],
    ]);

    it('metrics without test rows', () => {
      const document = altered(altered(jobDocument(), 'spec.dataset.testFraction', 0), 'spec.evaluation', {
        metrics: ['auc'],
      });
      assert.equal(
        refusal(document).message,
        'spec.evaluation.metrics: no row is kept for evaluation; raise spec.dataset.testFraction or remove the metrics',
      );
    });

    it('an over-selected cohort above the limit of a round', () => {
      const document = altered(altered(jobDocument(), 'spec.cohortSize', 4_000), 'spec.overSelection', 0.1);
      assert.match(
        refusal(document).message,
        /^spec\.overSelection: .* invite more than 4096 sites; lower one of them$/,
      );
    });
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
