import assert from 'node:assert/strict';

import {
  decodeTail,
  encodeUpdate,
  groupsOf,
  parseFederatedJob,
  tailLength,
  tailShapeOf,
  UpdateCheck,
  updateTail,
  type GroupNumbers,
  type TailShape,
} from '@tributary/proto';
import fc from 'fast-check';

import { jobDocument } from '../../support/job-document.js';
import { refusal } from '../../support/refusal.js';

const COHORT = ['east', 'north', 'west'];
const WEIGHT_CAP = 1_000;

const evaluationOf = (evaluation: Readonly<Record<string, unknown>>) => ({
  metrics: ['auc' as const],
  ...evaluation,
});

/** What the coordinator reads of the sum of the sites' tails. */
function federation(shape: TailShape, sites: readonly (readonly GroupNumbers[])[]) {
  const sums = new Float64Array(tailLength(shape));
  for (const groups of sites) {
    const tail = updateTail({ trainExamples: 100, loss: 0.5, groups }, shape, WEIGHT_CAP);
    tail.forEach((value, index) => (sums[index] = (sums[index] ?? 0) + value));
  }
  return decodeTail(sums, shape).groups;
}

const near = (actual: number, expected: number, tolerance: number): void =>
  assert.ok(
    Object.is(actual, expected) ||
      Math.abs(actual - expected) <= tolerance * Math.max(1e-3, Math.abs(expected)),
    `${String(actual)} is not ${String(expected)}`,
  );

describe('evaluation groups', () => {
  it('of a job without options are all test rows, in the tail of every earlier version', () => {
    const shape = tailShapeOf(evaluationOf({}), COHORT);
    assert.deepEqual(shape, { metrics: ['auc'] });
    assert.deepEqual(
      tailShapeOf(evaluationOf({ intervals: false, perSite: false, subgroups: [] }), COHORT),
      shape,
    );
    assert.equal(tailLength(shape), 4);
    const numbers = { trainExamples: 500, loss: 2, groups: [{ examples: 250, metrics: { auc: 0.5 } }] };
    assert.deepEqual([...updateTail(numbers, shape, WEIGHT_CAP)], [0.5, 1, 0.25, 0.125]);
  });

  it('follow all rows: held out, subgroups, sites, each with count, metrics and variances', () => {
    const subgroups = [{ column: 'sex', values: ['F', 'M'] }];
    const evaluation = evaluationOf({ intervals: true, holdOutSite: 'north', subgroups, perSite: true });
    const shape = tailShapeOf(evaluation, COHORT);
    assert.deepEqual(groupsOf(shape), [
      { type: 'All' },
      { type: 'HeldOut', site: 'north' },
      { type: 'Subgroup', column: 'sex', value: 'F' },
      { type: 'Subgroup', column: 'sex', value: 'M' },
      ...COHORT.map((site) => ({ type: 'Site', site })),
    ]);
    assert.equal(tailLength(shape), 2 + 7 * 3);
    const groups = [{ examples: 500, metrics: { auc: 0.5 }, variances: { auc: 0.25 } }];
    assert.deepEqual(
      [...updateTail({ trainExamples: 1_000, loss: 1, groups }, shape, WEIGHT_CAP)].slice(0, 6),
      [1, 1, 0.5, 0.25, 0.0625, 0],
    );
  });

  it('sum up to the mean and the standard error of all sites in one place (property)', () => {
    const numbers = fc.record({
      examples: fc.integer({ min: 0, max: 3_000 }),
      auc: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constant(Number.NaN)),
      brier: fc.double({ min: 0, max: 1, noNaN: true }),
      variance: fc.double({ min: 1e-6, max: 0.3, noNaN: true }),
    });
    const sites = fc.array(fc.tuple(numbers, numbers), { minLength: 1, maxLength: 30 });
    const shape = tailShapeOf(
      { metrics: ['auc', 'brier'], intervals: true, subgroups: [{ column: 'sex', values: ['F'] }] },
      COHORT,
    );
    fc.assert(
      fc.property(sites, (drawn) => {
        const told = drawn.map((site) =>
          site.map(({ examples, auc, brier, variance }) => ({
            examples,
            metrics: { auc, brier },
            variances: { auc: variance, brier: variance / 2 },
          })),
        );
        const groups = federation(shape, told);
        for (const [index, group] of groups.entries()) {
          let [counts, sum, variance] = [0, 0, 0];
          for (const site of drawn) {
            const one = site[index];
            if (one === undefined || Number.isNaN(one.auc)) continue;
            const count = Math.min(one.examples, WEIGHT_CAP);
            counts += count;
            sum += count * one.brier;
            variance += (count * count * one.variance) / 2;
          }
          near(group.metrics['brier'] ?? 0, counts === 0 ? Number.NaN : sum / counts, 1e-5);
          near(
            group.standardErrors?.['brier'] ?? 0,
            counts === 0 ? Number.NaN : Math.sqrt(variance) / counts,
            1e-5,
          );
        }
      }),
    );
  });

  it('count a site without a variance as one without rows', () => {
    const shape = { metrics: ['auc'], intervals: true };
    const whole = { examples: 10, metrics: { auc: 0.7 }, variances: { auc: 0.01 } };
    const [all] = federation(shape, [
      [whole],
      [{ ...whole, metrics: { auc: 0.2 }, variances: { auc: Number.NaN } }],
    ]);
    near(all?.metrics['auc'] ?? 0, 0.7, 1e-6);
    near(all?.standardErrors?.['auc'] ?? 0, 0.1, 1e-6);
  });

  it('bind a sender to its own groups, and the site that is held out to no weight', () => {
    const shape = tailShapeOf(evaluationOf({ intervals: true, holdOutSite: 'north', perSite: true }), COHORT);
    const figures: GroupNumbers = { examples: 10, metrics: { auc: 0.7 }, variances: { auc: 0.01 } };
    const nothing: GroupNumbers = { examples: 0, metrics: {} };
    const bounds = { clipNorm: 1, weightCap: WEIGHT_CAP };
    const check = (
      site: string,
      trainExamples: number,
      groups: readonly GroupNumbers[],
      forge = {},
    ): void => {
      const vector = encodeUpdate(new Float32Array(2), { trainExamples, loss: 1, groups }, shape, bounds);
      for (const [index, value] of Object.entries(forge)) vector[Number(index)] = Number(value);
      const update = new UpdateCheck({ parameters: 2, ...shape }, { clipNorm: 1, site });
      update.push(vector);
      update.finish();
    };
    const trained = [figures, nothing, figures, nothing, nothing];
    const heldOut = [nothing, figures, nothing, figures, nothing];
    check('east', 100, trained);
    check('north', 0, heldOut);
    for (const [site, examples, groups] of [
      ['east', 0, trained],
      ['north', 100, heldOut],
      ['north', 0, trained],
      ['east', 100, [figures, figures]],
      ['east', 100, [figures, nothing, nothing, nothing, figures]],
    ] as const) {
      assert.throws(() => check(site, examples, groups), refusal('UPDATE_OUT_OF_RANGE'));
    }
    // Elements 2 and 3 are weight and loss; 4 to 6 the first group.
    assert.throws(() => check('east', 100, trained, { 6: 1 }), refusal('UPDATE_OUT_OF_RANGE', /variance/));
    assert.throws(
      () => check('east', 100, trained, { 6: -1e-9 }),
      refusal('UPDATE_OUT_OF_RANGE', /variance/),
    );
  });
});

describe('evaluation options of a job', () => {
  const parse = (evaluation: object, spec: object = {}) => {
    const job = jobDocument();
    return parseFederatedJob({
      ...job,
      spec: { ...job.spec, ...spec, evaluation: { metrics: ['auc'], ...evaluation } },
    });
  };

  it('are absent from documents that do not name them', () => {
    assert.deepEqual(parse({}).spec.evaluation, { metrics: ['auc'] });
  });

  const refused: readonly (readonly [what: string, evaluation: object, spec: object, message: RegExp])[] = [
    ['intervals of nothing', { metrics: [], intervals: true }, {}, /no metric is listed/],
    ['a site held out of rounds of one', { holdOutSite: 'north' }, { minSites: 1 }, /minSites to 2/],
    [
      'a site held out of drawn cohorts',
      { holdOutSite: 'north' },
      { minSites: 2, cohortSize: 2 },
      /cohortSize/,
    ],
    [
      'a column twice',
      {
        subgroups: [
          { column: 'a', values: ['1'] },
          { column: 'a', values: ['2'] },
        ],
      },
      {},
      /twice/,
    ],
    ['a subgroup without values', { subgroups: [{ column: 'a', values: [] }] }, {}, /subgroups/],
    [
      'too many subgroups',
      {
        subgroups: ['a', 'b', 'c'].map((column) => ({
          column,
          values: Array.from({ length: 60 }, (_, index) => String(index)),
        })),
      },
      {},
      /at most 128/,
    ],
    [
      'subgroups of the label',
      { subgroups: [{ column: jobDocument().spec.dataset.label, values: ['1'] }] },
      {},
      /label/,
    ],
  ];
  for (const [what, evaluation, spec, message] of refused) {
    it(`refuse ${what}`, () =>
      assert.throws(() => parse(evaluation, spec), refusal('DOCUMENT_INVALID', message)));
  }
});
