import assert from 'node:assert/strict';

import { expectRefusals, refusal } from '../../support/document-refusals.js';
import { altered, jobDocument, policyDocument } from '../../support/job-document.js';

describe('refusals of values', () => {
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
      [
        'spec.privacy',
        { secureAggregation: false, dropouts: 1 },
        'spec.privacy.dropouts: means nothing without secure aggregation; remove it',
      ],
      [
        'spec.privacy',
        { colluders: 2 },
        'spec.privacy.secureAggregation: cannot protect the round: two colluders of 3 sites leave no two honest ones to hide among; ask for more sites or less, or set it to false if the coordinator may see single updates',
      ],
      [
        'spec.privacy',
        { dropouts: 2 },
        'spec.privacy.secureAggregation: cannot protect the round: with no colluder 2 of 3 sites must stay: at most one dropout, not 2; ask for more sites or less, or set it to false if the coordinator may see single updates',
      ],
    ]);

    it('secure aggregation of fewer than three sites', () => {
      const pair = altered(jobDocument(), 'spec.cohortSize', 2);
      assert.equal(
        refusal(altered(pair, 'spec.privacy', {})).message,
        "spec.privacy.secureAggregation: cannot protect the round: 2 sites: each would know the others' update from the sum; 3 are needed; ask for more sites or less, or set it to false if the coordinator may see single updates",
      );
    });

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
});
