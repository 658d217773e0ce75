import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  parseCanonical,
  parseFeaturesFile,
  type FeatureFit,
  type FederatedJobInput,
  type JsonObject,
  type Row,
} from '@tributary/proto';
import { openDataDirectory } from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { isTestRow } from '@tributary/edge-agent/internal/domain/datasets/split.js';

import { LocalFederation } from '../support/federation.js';
import { loadExportedModel } from '../support/exported-model.js';
import { auditLedger, entriesOf } from '../support/ledger-audit.js';
import { Operator } from '../support/operator.js';
import { SeededRandom } from '../support/seeded-random.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

/** Each site has patients of another age, size of tumour and year, and leaves some cells empty. */
const SITES = { basel: [35, 10, 1985], delft: [52, 25, 1992], turin: [70, 60, 2001] } as const;
const ROWS = 400;
const LOW = 20;
const HIGH = 80;

interface Patients {
  readonly csv: string;
  /** Rows that train. */
  readonly rows: readonly Row[];
}

function patientsOf(seed: number, [age, size, year]: readonly [number, number, number]): Patients {
  const random = new SeededRandom(seed);
  const spread = (around: number, width: number): number =>
    around + width * (random.uint32() / 2 ** 32 - 0.5);
  const rows = Array.from({ length: ROWS }, (): Row => {
    const cells = { age: spread(age, 50), size: spread(size, 15), nodes: random.below(12) };
    const risk = cells.age / 40 + cells.size / 30 + cells.nodes / 6;
    return {
      age: random.below(10) === 0 ? '' : cells.age.toFixed(3),
      size: cells.size.toFixed(3),
      nodes: String(cells.nodes),
      day: `${String(Math.round(spread(year, 8)))}-0${String(1 + random.below(9))}-15`,
      relapse: risk + random.uint32() / 2 ** 32 > 3.5 ? 'yes' : 'no',
    };
  });
  const columns = ['age', 'size', 'nodes', 'day', 'relapse'] as const;
  const lines = rows.map((row) => columns.map((column) => String(row[column])).join(','));
  const split = { testFraction: 0.25, splitSeed: 1 };
  return {
    csv: [columns.join(','), ...lines, ''].join('\n'),
    rows: rows.filter((_, index) => !isTestRow(split, index)),
  };
}

function job(name: string): FederatedJobInput {
  return {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'FederatedJob',
    metadata: { name },
    spec: {
      task: { type: 'Binary', positive: 'yes' },
      dataset: { name: 'patients', label: 'relapse' },
      features: [
        { name: 'age', type: 'Numeric', scaling: 'Federated', low: LOW, high: HIGH, indicator: true },
        { name: 'day', type: 'Date', part: 'Year', scaling: 'Federated', low: 1970, high: 2010 },
        { name: 'size', type: 'Numeric', transform: 'Log1p', scaling: 'Site' },
        { name: 'burden', type: 'Ratio', numerator: 'size', denominator: 'nodes', scaling: 'Site', clip: 5 },
      ],
      model: { name, layers: [{ type: 'Dense', units: 1, activation: 'Sigmoid' }] },
      training: { epochs: 2, optimizer: { type: 'Sgd', learningRate: 0.1 } },
      rounds: 3,
      minSites: 3,
      evaluation: { metrics: ['auc'] },
      privacy: { secureAggregation: false },
    },
  };
}

interface Moments {
  readonly center: number;
  readonly scale: number;
}

function momentsOf(values: readonly number[]): Moments {
  const center = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - center) ** 2, 0) / values.length;
  return { center, scale: Math.sqrt(variance) };
}

function requireNear(fit: FeatureFit, name: string, expected: Moments, tolerance: number): void {
  const fitted = fit[name];
  assert.ok(fitted !== undefined && 'scale' in fitted, name);
  for (const key of ['center', 'scale'] as const) {
    const error = Math.abs(fitted[key] - expected[key]);
    assert.ok(error <= tolerance, `${name}.${key}: ${String(fitted[key])} for ${String(expected[key])}`);
  }
}

/** Features that learn from the sites, over real processes: what is told, what stays, and what a crash changes. */
describe('features fitted at the sites', function () {
  this.timeout(180_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let operator: Operator;
  const patients = new Map<string, Patients>();

  before(async () => {
    directory = await temporaryDirectory();
    federation = await LocalFederation.start(join(directory.path, 'federation'), 'clinics');
    for (const [index, [name, means]] of Object.entries(SITES).entries()) {
      const data = patientsOf(index + 1, means);
      patients.set(name, data);
      await federation.addSite({ name, csv: data.csv, dataset: 'patients' });
    }
    operator = await Operator.of(federation);
  });

  after(async function () {
    operator.close();
    await federation.stop();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await directory.remove();
  });

  const fitOfExport = async (name: string): Promise<FeatureFit> => {
    const folder = join(directory.path, name);
    await federation.cliText('wait', '--for=condition=Complete', `fj/${name}`, '--timeout', '120s');
    await federation.cliText('models', 'export', name, '--to', folder);
    const file = parseFeaturesFile(JSON.parse(await readFile(join(folder, 'features.json'), 'utf8')));
    const { manifest } = await loadExportedModel(folder);
    assert.deepEqual(manifest.fit, file.fit);
    return file.fit;
  };

  const numbers = (rows: readonly Row[], column: string): number[] =>
    rows
      .map((row) => String(row[column]))
      .filter((text) => text !== '')
      .map(Number);
  const pooled = (): Row[] => [...patients.values()].flatMap(({ rows }) => rows);

  const requirePooled = (fit: FeatureFit): void => {
    const ages = numbers(pooled(), 'age').map((age) => Math.min(HIGH, Math.max(LOW, age)));
    // float32 tables: a millionth of the width of the bounds, and a little more for the root.
    requireNear(fit, 'age', momentsOf(ages), 60 * 2e-6);
    const years = pooled().map((row) => Number(String(row['day']).slice(0, 4)));
    requireNear(fit, 'day', momentsOf(years), 40 * 2e-6);
  };

  it('are scaled as if the rows of all sites lay together', async () => {
    await federation.apply(job('pooled'));
    const fit = await fitOfExport('pooled');
    assert.deepEqual(Object.keys(fit).sort(), ['age', 'day']);
    requirePooled(fit);
    const { entries } = await auditLedger(federation);
    const opened = entriesOf(entries, 'round.opened').map(({ body }) => body);
    assert.deepEqual(
      opened.map(({ round, kind }) => [round, kind]),
      [
        [0, 'Statistics'],
        [1, undefined],
        [2, undefined],
        [3, undefined],
        [4, 'Evaluation'],
      ],
    );
    const [table] = entriesOf(entries, 'round.committed').map(({ body }) => body.modelDigest);
    for (const { statisticsDigest } of opened.slice(1)) assert.equal(statisticsDigest, table);
  });

  it('have the same fit when the hub and a site die right after the round of statistics', async () => {
    await operator.apply(job('survivor'));
    await operator.event('survivor', 'round.committed', ({ round }) => round === 0);
    await Promise.all([
      federation.coordinator.stop('SIGKILL'),
      federation.agents.get('delft')?.stop('SIGKILL'),
    ]);
    federation.startAgent('delft');
    await federation.serve();
    const fit = await fitOfExport('survivor');
    requirePooled(fit);
    const { entries } = await auditLedger(federation);
    const survivor = entriesOf(entries, 'job.submitted').find(({ body }) => body.name === 'survivor');
    const statistics = entriesOf(entries, 'round.opened').filter(
      ({ body }) => body.jobId === survivor?.body.jobId && body.kind === 'Statistics',
    );
    assert.equal(statistics.length, 1);
  });

  it('are scaled by each site for itself where the job says so, and that stays there', async () => {
    const { entries } = await auditLedger(federation);
    const jobId = entriesOf(entries, 'job.submitted').find(({ body }) => body.name === 'pooled')?.body.jobId;
    for (const [name, { rows }] of patients) {
      await federation.agents.get(name)?.stop();
      const fit = await siteFit(federation.siteFolder(name), String(jobId));
      requireNear(fit, 'size', momentsOf(numbers(rows, 'size').map(Math.log1p)), 1e-9);
      const ratios = rows
        .map((row) => Number(row['size']) / Number(row['nodes']))
        .filter((ratio) => Number.isFinite(ratio));
      requireNear(fit, 'burden', momentsOf(ratios), 1e-9);
      assert.deepEqual(Object.keys(fit).sort(), ['burden', 'size']);
    }
  });
});

/** What a stopped agent remembers of its own scaling. */
async function siteFit(folder: string, jobId: string): Promise<FeatureFit> {
  const data = join(folder, 'data');
  const opened = await openDataDirectory(data, join(data, 'seal.key'));
  try {
    const record = parseCanonical(
      (await opened.store.get(`fit/${jobId}`)) ?? new Uint8Array(),
      1e6,
    ) as JsonObject;
    return record['site'] as FeatureFit;
  } finally {
    await opened.close();
  }
}
