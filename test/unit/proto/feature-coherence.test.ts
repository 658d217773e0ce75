import assert from 'node:assert/strict';

import { parseFederatedJob, type FederatedJobInput } from '@tributary/proto';

import { jobDocument } from '../../support/job-document.js';

type FeatureInput = FederatedJobInput['spec']['features'][number];

/** The problems of a job with these features. */
function problemsOf(...features: readonly object[]): string[] {
  const document = jobDocument();
  document.spec.features = features as FeatureInput[];
  document.spec.model.layers = [{ type: 'Flatten' }, { type: 'Dense', units: 1, activation: 'Sigmoid' }];
  try {
    parseFederatedJob(document);
    return [];
  } catch (error) {
    return (error as Error).message.split('\n').map((line) => line.replace('spec.features', ''));
  }
}

const federated = { type: 'Numeric', scaling: 'Federated', low: 0, high: 9 };
const digest = `sha256:${'a'.repeat(64)}`;

describe('features of a document', () => {
  it('may be of every kind', () => {
    assert.deepEqual(
      problemsOf(
        { name: 'a', ...federated, indicator: true },
        { name: 'b', type: 'Numeric', scaling: 'Site' },
        {
          name: 'c',
          type: 'Categorical',
          vocabulary: { name: 'codes', size: 40, digest },
          encoding: 'Index',
        },
        { name: 'd', type: 'Date', part: 'Month' },
        { name: 'e', type: 'Date', column: 'd', part: 'Days', reference: '2000-02-29', scaling: 'Site' },
        { name: 'f', type: 'Ratio', numerator: 'a', denominator: 'b' },
      ),
      [],
    );
    assert.deepEqual(
      problemsOf({ name: 'a', type: 'Sequence', length: 8 }, { name: 'b', type: 'Sequence', length: 8 }),
      [],
    );
  });

  for (const [what, features, problems] of [
    [
      'a center beside scaling by the site',
      [{ name: 'a', type: 'Numeric', scaling: 'Site', center: 1 }],
      ['[0].center: does not belong to scaling Site; remove it, or use scaling Given'],
    ],
    [
      'bounds without the sums that they are for',
      [{ name: 'a', type: 'Numeric', low: 0 }],
      ['[0].low: does not belong to scaling Given; remove it, or use scaling Federated'],
    ],
    [
      'sums without bounds',
      [{ name: 'a', type: 'Numeric', scaling: 'Federated', high: 3 }],
      [
        '[0].low: is missing; add the bound that values are expected to keep: it is public, so choose it without looking at data',
      ],
    ],
    [
      'bounds in the wrong order',
      [{ name: 'a', ...federated, low: 9, high: 9 }],
      ['[0].high: is not above low; raise it, by 1e-9 or more after the transform'],
    ],
    [
      'bounds that the transform makes one',
      [{ name: 'a', ...federated, transform: 'Log1p', low: 1e15, high: 1e15 + 1 }],
      ['[0].high: is not above low; raise it, by 1e-9 or more after the transform'],
    ],
    [
      'a bound outside the transform',
      [{ name: 'a', ...federated, transform: 'Log1p', low: -1 }],
      ['[0].low: Log1p is undefined there; choose a value above -1'],
    ],
    [
      'no categories',
      [{ name: 'a', type: 'Categorical' }],
      ['[0].categories: is missing; add it (a list), or a vocabulary'],
    ],
    [
      'two lists of categories',
      [{ name: 'a', type: 'Categorical', categories: ['x'], vocabulary: { name: 'v', size: 1, digest } }],
      ['[0].vocabulary: stands beside categories; remove one of them'],
    ],
    [
      'days from nowhere',
      [{ name: 'a', type: 'Date', part: 'Days' }],
      ['[0].reference: is missing; add the date from which days are counted'],
    ],
    [
      'days from a day that never was',
      [{ name: 'a', type: 'Date', part: 'Days', reference: '2023-02-29' }],
      ['[0].reference: no such day; write a day of the calendar, such as 2024-05-31'],
    ],
    [
      'a reference for a month',
      [{ name: 'a', type: 'Date', part: 'Month', reference: '2023-02-28' }],
      ['[0].reference: does not belong to part Month; remove it, or use part Days'],
    ],
    [
      'a column over itself',
      [{ name: 'a', type: 'Ratio', numerator: 'b', denominator: 'b' }],
      ['[0].denominator: is the numerator too; name another column'],
    ],
    [
      'the label, however it is reached',
      [
        { name: 'a', type: 'Ratio', numerator: 'b', denominator: 'Class' },
        { name: 'b', type: 'Date', column: 'Class', part: 'Year' },
      ],
      [
        '[0].denominator: is the label column, which would leak the answer; remove the feature',
        '[1].column: is the label column, which would leak the answer; remove the feature',
      ],
    ],
    [
      'a fitted feature of a name that no record can hold',
      [{ name: '__proto__', type: 'Numeric', scaling: 'Site' }],
      [
        '[0].name: cannot be the name of a feature that is fitted; rename the column in the view of the dataset',
      ],
    ],
    [
      'sequences beside single values',
      [
        { name: 'a', type: 'Sequence', length: 2 },
        { name: 'b', type: 'Numeric' },
      ],
      [
        '[1].type: Numeric beside features of type Sequence makes no input of one shape; use sequences only, or none',
      ],
    ],
    [
      'sequences of two lengths',
      [
        { name: 'a', type: 'Sequence', length: 2 },
        { name: 'b', type: 'Sequence', length: 3 },
      ],
      ['[1].length: differs from the length of the sequences before; write 2'],
    ],
  ] as const) {
    it(`may not have ${what}`, () => {
      assert.deepEqual(problemsOf(...features), problems);
    });
  }

  it('keep the meaning of documents that say nothing of scaling', () => {
    const document = jobDocument();
    document.spec.features = [{ name: 'a', type: 'Numeric', scale: 4 }];
    const [feature] = parseFederatedJob(document).spec.features;
    assert.deepEqual(feature, {
      name: 'a',
      type: 'Numeric',
      transform: 'Identity',
      scaling: 'Given',
      center: 0,
      scale: 4,
      clip: 1_000_000,
      indicator: false,
    });
    const again = parseFederatedJob(parseFederatedJob(document));
    assert.deepEqual(again.spec.features, [feature]);
  });
});
