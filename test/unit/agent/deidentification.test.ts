import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';

import { parseSitePolicy, type Cell, type DeidentificationSpec, type Generalisation } from '@tributary/proto';
import { CombinationCounts } from '@tributary/edge-agent/internal/domain/deidentification/anonymity.js';
import {
  compileDeidentification,
  MASK,
} from '@tributary/edge-agent/internal/domain/deidentification/deidentifier.js';
import { openDataset } from '@tributary/edge-agent/internal/adapters/datasets/open-dataset.js';
import fc from 'fast-check';

import { rowsOf } from '../../support/dataset-rows.js';
import { altered, policyDocument } from '../../support/job-document.js';
import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';
import { datasetHandle } from '../../support/training-job.js';

const NOTHING: DeidentificationSpec = { drop: [], mask: [], generalise: [] };

type WithoutColumn<T> = T extends unknown ? Omit<T, 'column'> : never;
type Step = WithoutColumn<Generalisation>;

/** What a policy's rule makes of a cell of column c. */
function told(step: Step, cell: Cell): unknown {
  const generalise = [{ ...step, column: 'c' }];
  return compileDeidentification({ ...NOTHING, generalise }).rules.get('c')?.(cell);
}

describe('de-identification of cells', () => {
  it('reads ages as the lower bound of their band, and high ones as one', () => {
    const ages = { type: 'AgeBand', width: 5, top: 90 } as const;
    assert.deepEqual(
      ['0', '4.9', '5', 67, '89', '90', '103', '', null, 'NA'].map((cell) => told(ages, cell)),
      ['0', '0', '5', '65', '85', '90', '90', null, null, null],
    );
  });

  it('reads dates as year, or year and month', () => {
    const dates = ['2024-05-31', '2024-05-31T10:00:00Z', '0987-01-02', ''];
    assert.deepEqual(
      dates.map((cell) => told({ type: 'Year' }, cell)),
      ['2024', '2024', '0987', null],
    );
    assert.deepEqual(
      dates.map((cell) => told({ type: 'YearMonth' }, cell)),
      ['2024-05', '2024-05', '0987-01', null],
    );
  });

  it('never hands on a cell that it cannot make coarser', () => {
    assert.deepEqual(told({ type: 'AgeBand', width: 5, top: 90 }, 'sixty'), { fault: 'NotANumber' });
    assert.deepEqual(told({ type: 'Year' }, '31.05.2024'), { fault: 'NotADate' });
    assert.deepEqual(told({ type: 'YearMonth' }, '2024'), { fault: 'NotADate' });
    assert.deepEqual(told({ type: 'Band', width: 1 }, [1, 2]), { fault: 'NotANumber' });
  });

  it('masks present and missing cells alike', () => {
    const { rules, dropped } = compileDeidentification({ ...NOTHING, mask: ['c'], drop: ['d'] });
    assert.deepEqual(
      ['x', '', null, 5].map((cell) => rules.get('c')?.(cell)),
      [MASK, MASK, MASK, MASK],
    );
    assert.ok(dropped.has('d'));
  });

  it('begins a band at each multiple of its width, whatever binary fractions make of it', () => {
    for (let units = -40; units <= 40; units += 1) {
      const bound = String(units / 10);
      assert.equal(told({ type: 'Band', width: 0.1 }, bound), bound);
    }
  });

  it('puts every number at or above its bound, less than a width away (property)', () => {
    const widths = fc.constantFrom(0.1, 0.5, 3, 10, 2_500);
    fc.assert(
      fc.property(widths, fc.double({ min: -1e6, max: 1e6, noNaN: true }), (width, value) => {
        const bound = Number(told({ type: 'Band', width }, value));
        const slack = 1e-9 * Math.max(1, Math.abs(value));
        assert.ok(
          bound <= value + slack && value < bound + width + slack,
          `${String(value)} ${String(bound)}`,
        );
        assert.equal(told({ type: 'Band', width }, String(value)), told({ type: 'Band', width }, value));
      }),
    );
  });
});

describe('combinations of quasi-identifiers', () => {
  it('are rare below k; missing cells are a value', () => {
    const counts = new CombinationCounts(['a', 'b']);
    for (const [a, b] of [
      ['1', 'x'],
      ['1', 'x'],
      ['1', ''],
      ['1', null],
      ['2', 'x'],
    ] as const)
      counts.add({ a, b, other: Math.random() });
    assert.equal(counts.rareRows(2), 1);
    assert.ok(counts.isRare({ a: '2', b: 'x' }, 2));
    assert.ok(!counts.isRare({ a: '1', b: null }, 2));
    assert.ok(counts.isRare({ a: '9', b: 'x' }, 2), 'never seen');
  });

  it('do not run into each other (property)', () => {
    const cell = fc.oneof(fc.string(), fc.constant(null));
    fc.assert(
      fc.property(cell, cell, cell, cell, (a, b, c, d) => {
        const counts = new CombinationCounts(['a', 'b']);
        counts.add({ a, b });
        const same = (x: string | null, y: string | null): boolean => (x ?? '') === (y ?? '');
        assert.equal(counts.isRare({ a: c, b: d }, 1), !(same(a, c) && same(b, d)));
      }),
    );
  });
});

describe('de-identified rows', () => {
  let folder: TemporaryDirectory;
  let path: string;
  before(async () => {
    folder = await temporaryDirectory();
    path = join(folder.path, 'rows.csv');
    await writeFile(
      path,
      'id,name,age,seen,zip,y\np1,Ann,61,2024-05-31,10115,yes\np2,Bob,64,2024-06-01,10117,no\np3,Cid,93,2023-01-01,10119,no\n',
    );
  });
  after(() => folder.remove());

  const handle = (deidentification: Partial<DeidentificationSpec>) =>
    datasetHandle(path, 1, {
      deidentification: { ...NOTHING, ...deidentification },
      scratchDir: folder.path,
    });
  const generalise = [
    { column: 'age', type: 'AgeBand', width: 10, top: 90 },
    { column: 'seen', type: 'Year' },
  ] as const;

  it('are all that a look at the dataset gives', async () => {
    const rows = await rowsOf(handle({ drop: ['id'], mask: ['name'], generalise: [...generalise] }));
    assert.deepEqual(
      rows.map(({ cells }) => cells),
      [
        { name: 'masked', age: '60', seen: '2024', zip: '10115', y: 'yes' },
        { name: 'masked', age: '60', seen: '2024', zip: '10117', y: 'no' },
        { name: 'masked', age: '90', seen: '2023', zip: '10119', y: 'no' },
      ],
    );
  });

  const job = {
    dataset: { name: 'trial', label: 'y', testFraction: 0, splitSeed: 1 },
    features: [],
    evaluation: { subgroups: [{ column: 'id', values: ['p1'] }] },
  } as never;

  it('have no dropped column, whoever asks', async () => {
    await assert.rejects(
      openDataset(handle({ drop: ['id'] }), job),
      refusal('DATASET_INVALID', /column "id" is not in the first line/),
    );
  });

  it('are refused where a rule of the policy meets no column', async () => {
    const misspelt: readonly Parameters<typeof handle>[0][] = [
      { mask: ['nmae'] },
      { generalise: [{ column: 'Age', type: 'AgeBand', width: 10 }] },
      { drop: ['NAME'] },
      { drop: [' name'] },
    ];
    for (const rules of misspelt)
      await assert.rejects(rowsOf(handle(rules)), refusal('DATASET_INVALID', /not a column of the dataset/));
    assert.equal(
      (await rowsOf(handle({ drop: ['phone'] }))).length,
      3,
      'what is gone already may be dropped',
    );
  });

  it('are refused or left out where they stand out', async () => {
    const kAnonymity = { quasiIdentifiers: ['age', 'seen'], k: 2 };
    const refuse = handle({ generalise: [...generalise], kAnonymity: { ...kAnonymity, action: 'Refuse' } });
    await assert.rejects(rowsOf(refuse), refusal('POLICY_REFUSED', /fewer than 2 rows/));
    const suppress = handle({
      generalise: [...generalise],
      kAnonymity: { ...kAnonymity, action: 'Suppress' },
    });
    assert.deepEqual(
      (await rowsOf(suppress)).map(({ index, cells }) => [index, cells['id']]),
      [
        [0, 'p1'],
        [1, 'p2'],
      ],
    );
    const bare = handle({ kAnonymity: { ...kAnonymity, action: 'Suppress' } });
    assert.deepEqual(await rowsOf(bare), [], 'without generalising everybody stands out');
    await assert.rejects(
      rowsOf(handle({ kAnonymity: { quasiIdentifiers: ['postcode'], k: 2, action: 'Refuse' } })),
      refusal('DATASET_INVALID', /postcode/),
    );
  });

  it('name place and column of a cell that cannot be made coarser, not the cell', async () => {
    const broken = handle({ generalise: [{ column: 'name', type: 'Year' }] });
    const error: unknown = await rowsOf(broken).catch((cause: unknown) => cause);
    assert.ok(refusal('DATASET_INVALID', /^line 2, column "name": not a date/)(error), inspect(error));
    assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes('Ann'));
  });
});

describe('de-identification in a policy', () => {
  const withRule = (deidentification: unknown) =>
    parseSitePolicy(altered(policyDocument(), 'spec.datasets.0.deidentification', deidentification));

  it('defaults to nothing, and to a smallest count of 10', () => {
    const [rule] = parseSitePolicy(policyDocument()).spec.datasets;
    assert.deepEqual(rule?.deidentification, NOTHING);
    assert.deepEqual([rule.minCount, rule.vocabularies], [10, []]);
  });

  it('refuses columns that are told to be two things', () => {
    const year = { column: 'a', type: 'Year' };
    for (const [rule, words] of [
      [{ drop: ['a'], mask: ['a'] }, /a is dropped/],
      [{ drop: ['a'], generalise: [year] }, /a is dropped/],
      [{ mask: ['a'], generalise: [year] }, /a is masked/],
      [{ generalise: [year, year] }, /generalised twice/],
      [{ drop: ['a'], kAnonymity: { quasiIdentifiers: ['a'], k: 5 } }, /points at nobody/],
    ] as const)
      assert.throws(() => withRule(rule), refusal('DOCUMENT_INVALID', words));
  });
});
