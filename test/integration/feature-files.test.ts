import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { loadDataset } from '@tributary/edge-agent/internal/adapters/datasets/encoded-dataset.js';
import type { EncodedRows } from '@tributary/edge-agent/internal/adapters/datasets/encoded-rows.js';
import type { SourceDeclaration } from '@tributary/edge-agent/internal/domain/datasets/declaration.js';
import { isTestRow } from '@tributary/edge-agent/internal/domain/datasets/split.js';
import {
  compileFeatures,
  featuresFile,
  parseFeaturesFile,
  type FeatureFit,
  type FederatedJobInput,
  type Row,
} from '@tributary/proto';

import { runSql } from '../support/duckdb-files.js';
import { SeededRandom } from '../support/seeded-random.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { datasetHandle, trainingSpec } from '../support/training-job.js';

const ROWS = 400;
const random = new SeededRandom(20);
const unit = (): number => random.uint32() / 2 ** 32;

/** Rows as a stream would bring them: typed, with gaps and categories that no job knows. */
const rows: readonly Row[] = Array.from({ length: ROWS }, (): Row => ({
  income: maybe(() => (unit() - 0.3) * 10 ** random.below(7)),
  debt: maybe(() => random.below(5) * unit()),
  term: maybe(() => random.pick(['a', 'b', 'unseen', '36 months'])),
  day: maybe(() => new Date(Date.UTC(1950, 0, 1 + random.below(30_000))).toISOString().slice(0, 10)),
  pulse: maybe(() => Array.from({ length: random.below(9) }, () => maybe(() => unit() * 200))),
  y: random.pick(['yes', 'no']),
}));

function maybe<T>(make: () => T): T | null {
  return random.below(6) === 0 ? null : make();
}

const csvCell = (cell: Row[string]): string => {
  if (cell === null || cell === undefined) return '';
  if (typeof cell === 'object') return `"[${cell.map((element) => element ?? 'NULL').join(', ')}]"`;
  return String(cell);
};

type Features = FederatedJobInput['spec']['features'];

const SCALARS: Features = [
  { name: 'income', type: 'Numeric', scaling: 'Federated', low: 0, high: 1e6, indicator: true },
  { name: 'debt', type: 'Numeric', transform: 'Log1p', scaling: 'Site', impute: 1 },
  { name: 'share', type: 'Ratio', numerator: 'debt', denominator: 'income', clip: 10 },
  { name: 'term', type: 'Categorical', categories: ['a', 'b', '36 months'] },
  { name: 'code', type: 'Date', column: 'day', part: 'DayOfYear', scaling: 'Given', scale: 366 },
  { name: 'since', type: 'Date', column: 'day', part: 'Days', reference: '2000-01-01', clip: 1e6 },
];
const SEQUENCES: Features = [{ name: 'pulse', type: 'Sequence', length: 5, scaling: 'Site', impute: 60 }];
const FIT: FeatureFit = {
  income: { center: 1_234.5, scale: 777.7 },
  debt: { center: 0.3, scale: 1.7 },
  pulse: { center: 101.1, scale: 33.3 },
};

/** The same rows out of every kind of file, in training and in evaluation, have the bits that serving gives them. */
describe('features of files', () => {
  let directory: TemporaryDirectory;
  let sources: readonly SourceDeclaration[];

  before(async () => {
    directory = await temporaryDirectory();
    const [csv, json, parquet] = ['rows.csv', 'rows.ndjson', 'rows.parquet'].map((name) =>
      join(directory.path, name),
    );
    assert.ok(csv && json && parquet);
    const names = Object.keys(rows[0] ?? {});
    const lines = rows.map((row) => names.map((name) => csvCell(row[name])).join(','));
    await writeFile(csv, [names.join(','), ...lines, ''].join('\n'));
    await writeFile(json, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const types =
      "{income: 'DOUBLE', debt: 'DOUBLE', term: 'VARCHAR', day: 'DATE', pulse: 'DOUBLE[]', y: 'VARCHAR'}";
    await runSql(
      `COPY (SELECT * FROM read_json('${json}', format = 'newline_delimited', columns = ${types})) TO '${parquet}' (FORMAT parquet)`,
    );
    sources = [
      { name: 'rows', format: 'Csv', path: csv, delimiter: ',', quote: '"', encoding: 'Utf8' },
      { name: 'rows', format: 'NdJson', path: json },
      { name: 'rows', format: 'Parquet', path: parquet },
    ];
  });
  after(() => directory.remove());

  for (const [what, features] of [
    ['single values', SCALARS],
    ['sequences', SEQUENCES],
  ] as const) {
    it(`are the same bits for ${what}`, async () => {
      const spec = trainingSpec({
        features,
        model: {
          name: 'trial',
          layers: [{ type: 'Flatten' }, { type: 'Dense', units: 1, activation: 'Sigmoid' }],
        },
      });
      const file = parseFeaturesFile(JSON.parse(JSON.stringify(featuresFile(spec.features, FIT))));
      const plan = compileFeatures(file.features, file.fit);
      const served = (test: boolean): string[] =>
        rows
          .filter((_, index) => isTestRow(spec.dataset, index) === test)
          .map((row) => {
            const out = new Float32Array(plan.width);
            assert.deepEqual(plan.encode(row, out, 0), []);
            return hex(out);
          });
      for (const source of sources) {
        const dataset = datasetHandle('', 1, {
          declaration: { name: 'trial', sources: [source] },
          scratchDir: join(directory.path, 'scratch'),
        });
        const encoded = await loadDataset({ dataset, spec, fit: FIT }, () => undefined);
        assert.deepEqual(bitsOf(encoded.train), served(false), source.format);
        assert.deepEqual(bitsOf(encoded.test), served(true), source.format);
        encoded.close();
      }
    });
  }
});

const hex = (values: Float32Array): string => Buffer.from(values.buffer).toString('hex');

function bitsOf(encoded: EncodedRows): string[] {
  return Array.from({ length: encoded.rows }, (_, row) => {
    const out = new Float32Array(encoded.width);
    encoded.copyRow(row, 0, out, new Float32Array(1));
    return hex(out);
  });
}
