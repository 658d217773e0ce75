import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  WorkerPredictor,
  type WorkerPredictorOptions,
} from '@tributary/edge-agent/internal/adapters/inference/worker-predictor.js';
import { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';
import { isTestRow } from '@tributary/edge-agent/internal/domain/datasets/split.js';
import type { PredictionResult } from '@tributary/edge-agent/internal/serving-ports.js';
import { LIMITS, type Row } from '@tributary/proto';

import { DEADLY, ENDLESS } from '../support/fragile-worker.js';
import { refusal } from '../support/refusal.js';
import { loadOf, registeredModel } from '../support/served-model.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { datasetHandle, trainingSpec, trialCsv } from '../support/training-job.js';

const FRAGILE = new URL('../support/fragile-worker.js', import.meta.url);

const classes = trainingSpec({
  task: { type: 'MultiClass', classes: ['yes', 'no'] },
  model: {
    name: 'trial',
    layers: [
      { type: 'Dense', units: 32, activation: 'Relu' },
      { type: 'Dense', units: 2, activation: 'Softmax' },
    ],
    seed: 5,
  },
  evaluation: { metrics: ['accuracy'] },
});

const convolution = trainingSpec({
  features: [{ name: 'x1', type: 'Sequence', length: 12, center: 0, scale: 1, padding: 'End' }],
  model: {
    name: 'trial',
    layers: [
      { type: 'Conv1d', filters: 8, kernelSize: [3], padding: 'Same', activation: 'Relu' },
      { type: 'GlobalAveragePooling1d' },
      { type: 'Dense', units: 1, activation: 'Sigmoid' },
    ],
    seed: 5,
  },
});

function rowsOf(csv: string): Row[] {
  const [header = '', ...lines] = csv.trim().split('\n');
  const names = header.split(',');
  return lines.map((line) =>
    Object.fromEntries(line.split(',').map((cell, column) => [names[column] ?? '', cell])),
  );
}

describe('predictions', function () {
  this.timeout(60_000);
  let folder: TemporaryDirectory;
  const open: { close(): Promise<void> }[] = [];

  before(async () => {
    folder = await temporaryDirectory();
  });
  after(() => folder.remove());
  afterEach(async () => {
    for (const each of open.splice(0)) await each.close();
  });

  function predictor(options: WorkerPredictorOptions = {}): WorkerPredictor {
    const made = new WorkerPredictor(options);
    open.push(made);
    return made;
  }

  async function serving(options: WorkerPredictorOptions = {}, version = 1): Promise<WorkerPredictor> {
    const made = predictor(options);
    await made.load(loadOf(registeredModel({ version })));
    made.activate({ name: 'trial', version });
    return made;
  }

  const row = (x1: number): Row => ({ x1, x2: 1, c: 'red' });

  for (const [name, spec] of Object.entries({ numbers: trainingSpec(), classes }))
    it(`${name}: have the bits of the evaluation while training, whatever batch a row comes in`, async () => {
      const csv = trialCsv(700);
      const path = join(folder.path, `${name}.csv`);
      await writeFile(path, csv);
      const model = registeredModel({ spec });
      const { layout } = model.manifest;
      const trainer = new WorkerTrainer();
      open.push(trainer);
      const weights = Float32Array.from(model.weights);
      const expected = await trainer.predict({
        jobId: 'job-1',
        spec,
        layout,
        weights,
        dataset: datasetHandle(path),
      });
      const rows = rowsOf(csv).filter((_, index) => isTestRow(spec.dataset, index));
      assert.ok(rows.length > 100);
      const made = predictor();
      await made.load(loadOf(model, { batch: { maximumRows: 7, budgetMs: 1 } }));
      made.activate({ name: 'trial', version: 1 });
      const whole = await made.predict({ model: 'trial', rows });
      assert.deepEqual(whole.scores, expected.scores);
      const single = await Promise.all(rows.map((each) => made.predict({ model: 'trial', rows: [each] })));
      assert.deepEqual(Float32Array.from(single.flatMap(({ scores }) => [...scores])), expected.scores);
      assert.ok(made.figures().models.some(({ batches }) => batches > 1 && batches < rows.length));
      if (name === 'classes')
        for (const { labels, scores } of single)
          assert.deepEqual(labels, [(scores[0] ?? 0) >= (scores[1] ?? 0) ? 'yes' : 'no']);
    });

  it('serves several models and versions side by side, of another input too', async () => {
    const made = await serving();
    await made.load(loadOf(registeredModel({ version: 2 })));
    await made.load(loadOf(registeredModel({ name: 'waves', spec: convolution })));
    made.activate({ name: 'waves', version: 1 });
    const [first, second, waves] = await Promise.all([
      made.predict({ model: 'trial', rows: [row(0.5)] }),
      made.predict({ model: 'trial', version: 2, rows: [row(0.5)] }),
      made.predict({ model: 'waves', rows: [{ x1: [1, 2, 3] }], decisionIds: ['given'] }),
    ]);
    assert.deepEqual([first.version, second.version], [1, 2]);
    assert.notDeepEqual(first.scores, second.scores);
    assert.deepEqual(waves.decisionIds, ['given']);
    assert.match(first.decisionIds[0] ?? '', /^[0-9a-f]{32}$/);
    assert.deepEqual(first.outputs, ['yes']);
    assert.equal(made.models().length, 3);
  });

  it('encodes by the fit of the manifest and of the site, and says which cells it could not read', async () => {
    const spec = trainingSpec({
      features: [
        { name: 'x1', type: 'Numeric', scaling: 'Federated', low: 0, high: 20 },
        { name: 'x2', type: 'Numeric', scaling: 'Site' },
      ],
    });
    const model = registeredModel({ spec, fit: { x1: { center: 10, scale: 2 } } });
    const made = predictor();
    await assert.rejects(made.load(loadOf(model)), refusal('INVALID_ARGUMENT', /x2/));
    await made.load(loadOf(model, { fit: { x2: { center: 5, scale: 4 } } }));
    made.activate({ name: 'trial', version: 1 });
    const raw = await made.predict({ model: 'trial', rows: [{ x1: 12, x2: 1 }, { x1: 'twelve' }] });
    const encoded = await made.predict({ model: 'trial', inputs: Float32Array.of(1, -1, 0, 0) });
    assert.deepEqual(raw.scores, encoded.scores);
    assert.deepEqual(raw.issues, [{ row: 1, column: 'x1', reason: 'NotANumber' }]);
  });

  it('swaps 20 times under 1,000 requests: each is answered once, by one version', async () => {
    const made = await serving({ queueRows: 100_000 });
    const alone = new Map<number, Float32Array>();
    const rows = [row(0.25), row(-0.75), row(1.5)];
    const answers: Promise<PredictionResult>[] = [];
    let current = 1;
    for (let swap = 0; swap < 20; swap += 1) {
      for (let index = 0; index < 50; index += 1) {
        answers.push(made.predict({ model: 'trial', rows, decisionIds: ids(answers.length) }));
        if (index % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      const version = current + 1;
      await made.load(loadOf(registeredModel({ version })));
      alone.set(version, (await made.predict({ model: 'trial', version, rows })).scores);
      made.activate({ name: 'trial', version });
      if (swap > 0) await made.unload({ name: 'trial', version: current });
      current = version;
    }
    alone.set(1, (await made.predict({ model: 'trial', version: 1, rows })).scores);
    const results = await Promise.all(answers);
    assert.equal(results.length, 1_000);
    const seen = new Set<number>();
    for (const [index, { version, scores, decisionIds }] of results.entries()) {
      seen.add(version);
      assert.deepEqual(decisionIds, ids(index));
      assert.deepEqual(scores, alone.get(version), `request ${String(index)} by version ${String(version)}`);
    }
    assert.ok(seen.size > 10, `${String(seen.size)} versions answered`);
    const [figures] = made.figures().models;
    assert.deepEqual([figures?.failed, figures?.refused], [0, 0]);
    assert.ok((figures?.p99Ms ?? Number.NaN) >= (figures?.p50Ms ?? Number.NaN));
    assert.deepEqual(
      made.models().map(({ version }) => version),
      [1, 21],
    );
  });

  const ids = (index: number): string[] => [0, 1, 2].map((place) => `${String(index)}/${String(place)}`);

  for (const [what, others] of [
    ['one model', 0],
    ['more models than workers', 3],
  ] as const)
    it(`answers while a version is made ready, with ${what}`, async () => {
      const gate = new Int32Array(new SharedArrayBuffer(8));
      const made = await serving({ entry: FRAGILE, workerData: gate.buffer });
      const names = ['trial', ...Array.from({ length: others }, (_, index) => `other-${String(index)}`)];
      for (const name of names.slice(1)) {
        await made.load(loadOf(registeredModel({ name })));
        made.activate({ name, version: 1 });
      }
      const answeredBy = (model: string): Promise<number> =>
        made.predict({ model, rows: [row(0)] }).then(({ version }) => version);
      Atomics.store(gate, 1, 1);
      const loading = made.load(loadOf(registeredModel({ version: 2 })));
      for (let turn = 0; turn < 20; turn += 1)
        for (const name of names) assert.equal(await answeredBy(name), 1);
      Atomics.store(gate, 1, 0);
      Atomics.notify(gate, 1);
      await loading;
      const before = answeredBy('trial');
      await new Promise((resolve) => setTimeout(resolve, 20));
      made.activate({ name: 'trial', version: 2 });
      assert.deepEqual([await before, await answeredBy('trial')], [1, 2]);
      for (const name of names.slice(1)) assert.equal(await answeredBy(name), 1);
      await made.unload({ name: 'trial', version: 1 });
      assert.equal(await answeredBy('trial'), 2);
      assert.equal(made.figures().restarts, 0);
    });

  it('begins rows that were gathered at once, whatever the budget', async () => {
    const made = predictor();
    await made.load(loadOf(registeredModel(), { batch: { maximumRows: 256, budgetMs: 30_000 } }));
    made.activate({ name: 'trial', version: 1 });
    const single = made.predict({ model: 'trial', rows: [row(1)] });
    const rows = [row(0), row(1)];
    const gathered = await made.predict({ model: 'trial', rows, gathered: true, decisionIds: ['a', 'b'] });
    assert.deepEqual((await single).scores, gathered.scores.slice(1));
    assert.equal(made.figures().models[0]?.batches, 1);
  });

  it('refuses what it does not serve, and rows that do not fit', async () => {
    const made = await serving();
    await assert.rejects(made.predict({ model: 'other', rows: [row(0)] }), refusal('NOT_FOUND'));
    await assert.rejects(made.predict({ model: 'trial', version: 9, rows: [row(0)] }), refusal('NOT_FOUND'));
    await assert.rejects(made.predict({ model: 'trial', rows: [] }), refusal('INVALID_ARGUMENT'));
    await assert.rejects(
      made.predict({ model: 'trial', inputs: new Float32Array(4) }),
      refusal('INVALID_ARGUMENT'),
    );
    const many = Array.from({ length: LIMITS.predictionRows + 1 }, () => row(0));
    await assert.rejects(made.predict({ model: 'trial', rows: many }), refusal('LIMIT_EXCEEDED'));
    await assert.rejects(made.load(loadOf(registeredModel())), refusal('ALREADY_EXISTS'));
    const twice = [2, 2].map((version) => made.load(loadOf(registeredModel({ version }))));
    const [, second] = await Promise.allSettled(twice);
    assert.ok(second?.status === 'rejected' && refusal('ALREADY_EXISTS')(second.reason));
    await made.unload({ name: 'trial', version: 1 });
    await assert.rejects(made.predict({ model: 'trial', rows: [row(0)] }), refusal('NOT_FOUND'));
  });

  it('refuses requests beyond its queue at once, and answers those in it', async () => {
    const made = await serving({ queueRows: 10 });
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => made.predict({ model: 'trial', rows: [row(0)] })),
    );
    const refused = results.filter(({ status }) => status === 'rejected');
    assert.equal(refused.length, 10);
    for (const each of refused) if (each.status === 'rejected') assert.ok(refusal('OVERLOADED')(each.reason));
    assert.equal(made.figures().models[0]?.refused, 10);
  });

  it('starts a worker that died again, with its models, and answers what waited', async () => {
    const deaths = new Int32Array(new SharedArrayBuffer(4)).fill(1);
    const made = await serving({ entry: FRAGILE, workerData: deaths.buffer, restartMs: 10 });
    const deadly = Float32Array.of(DEADLY, 0, 0, 0, 0);
    const results = await Promise.all([
      made.predict({ model: 'trial', inputs: deadly }),
      made.predict({ model: 'trial', rows: [row(0)] }),
    ]);
    assert.equal(results.length, 2);
    assert.equal(made.figures().restarts, 1);
  });

  it('gives rows up over which two workers died, and serves on', async () => {
    const deaths = new Int32Array(new SharedArrayBuffer(4)).fill(2);
    const made = await serving({ entry: FRAGILE, workerData: deaths.buffer, restartMs: 10 });
    const deadly = Float32Array.of(DEADLY, 0, 0, 0, 0);
    await assert.rejects(made.predict({ model: 'trial', inputs: deadly }), refusal('UNAVAILABLE'));
    assert.equal((await made.predict({ model: 'trial', rows: [row(0)] })).version, 1);
  });

  it('replaces a worker that does not answer', async () => {
    const deaths = new Int32Array(new SharedArrayBuffer(4));
    const options = { entry: FRAGILE, workerData: deaths.buffer, restartMs: 10, answerMs: 2_000 };
    const made = await serving(options);
    const endless = Float32Array.of(ENDLESS, 0, 0, 0, 0);
    await assert.rejects(made.predict({ model: 'trial', inputs: endless }), refusal('UNAVAILABLE'));
    assert.equal((await made.predict({ model: 'trial', rows: [row(0)] })).version, 1);
  });

  it('ends with what waits refused', async () => {
    const made = await serving();
    const waiting = made.predict({ model: 'trial', rows: [row(0)] });
    const ended = assert.rejects(waiting, refusal('SHUTTING_DOWN'));
    await made.close();
    await ended;
    await assert.rejects(made.predict({ model: 'trial', rows: [row(0)] }), refusal('SHUTTING_DOWN'));
  });
});
