import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { WorkerStatistics } from '@tributary/edge-agent/internal/adapters/datasets/worker-statistics.js';
import { isTestRow } from '@tributary/edge-agent/internal/domain/datasets/split.js';
import type { StatisticsTask } from '@tributary/edge-agent/internal/ports.js';
import { FeatureStatistics, type TributaryError } from '@tributary/proto';

import { refusal } from '../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { datasetHandle, trainingSpec, trialCsv } from '../support/training-job.js';

const spec = trainingSpec({
  features: [
    { name: 'x1', type: 'Numeric', scaling: 'Federated', low: -1, high: 1 },
    { name: 'x2', type: 'Numeric', scaling: 'Site' },
  ],
});

describe('statistics of a dataset', function () {
  this.timeout(30_000);
  let directory: TemporaryDirectory;
  let path: string;
  const statistics = new WorkerStatistics();

  beforeEach(async () => {
    directory = await temporaryDirectory();
    path = join(directory.path, 'trial.csv');
  });
  afterEach(() => directory.remove());

  const task = (parts: Partial<StatisticsTask> = {}): StatisticsTask => ({
    spec,
    dataset: datasetHandle(path),
    signal: new AbortController().signal,
    ...parts,
  });

  it('are those of the rows that train', async () => {
    const csv = trialCsv(500);
    await writeFile(path, csv);
    const expected = new FeatureStatistics(spec.features);
    const lines = csv.trim().split('\n').slice(1);
    for (const [index, line] of lines.entries()) {
      const [x1 = '', x2 = ''] = line.split(',');
      if (!isTestRow(spec.dataset, index)) expected.add({ x1, x2 });
    }
    assert.deepEqual(await statistics.collect(task()), expected.finish(10));
  });

  it('tell nothing of what too few rows hold', async () => {
    const rows = Array.from({ length: 60 }, (_, row) => `${row % 10 === 0 ? '0.5' : ''},1,red,yes`);
    await writeFile(path, ['x1,x2,c,y', ...rows, ''].join('\n'));
    const { table } = await statistics.collect(task());
    assert.deepEqual([...table], [0, 0, 0]);
    const lenient = await statistics.collect(task({ dataset: datasetHandle(path, 1, { minCount: 1 }) }));
    assert.ok((lenient.table[0] ?? 0) > 0);
  });

  it('name the place of a cell that is no number, and never the cell', async () => {
    const rows = trialCsv(50).split('\n');
    rows[7] = 'secret-4711,1,red,yes';
    await writeFile(path, rows.join('\n'));
    const error = await statistics
      .collect(task({ spec: { ...spec, dataset: { ...spec.dataset, testFraction: 0 } } }))
      .then(
        () => assert.fail('accepted'),
        (reason: unknown) => reason as TributaryError,
      );
    assert.equal(error.code, 'DATASET_INVALID');
    assert.equal(error.fields['line'], 8);
    assert.equal(error.fields['column'], 'x1');
    assert.doesNotMatch(JSON.stringify([error.message, error.fields, error.hint]), /4711/);
  });

  it('refuse fewer rows than the policy demands', async () => {
    await writeFile(path, trialCsv(20));
    await assert.rejects(
      statistics.collect(task({ dataset: datasetHandle(path, 100) })),
      refusal('DATASET_TOO_SMALL'),
    );
  });

  it('stop where the training is cancelled', async () => {
    await writeFile(path, trialCsv(200_000));
    const controller = new AbortController();
    const work = statistics.collect(task({ signal: controller.signal }));
    setTimeout(() => controller.abort(), 50);
    await assert.rejects(work, refusal('JOB_CANCELLED'));
    await assert.rejects(statistics.collect(task({ signal: controller.signal })), refusal('JOB_CANCELLED'));
  });
});
