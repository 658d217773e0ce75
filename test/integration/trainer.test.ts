import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';

import type { FederatedJobInput } from '@tributary/proto';
import {
  WorkerTrainer,
  type WorkerTrainerOptions,
} from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';
import type { BackendName } from '@tributary/edge-agent/internal/adapters/training/backend.js';
import { auc } from '@tributary/edge-agent/internal/domain/metrics/auc.js';
import type { TrainingResult } from '@tributary/edge-agent/internal/ports.js';

import { CRASHES, CRASH_TEXT } from '../support/crash-rounds.js';
import { refusal } from '../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { datasetHandle, modelOf, trainingSpec, trialCsv } from '../support/training-job.js';

type Parts = Partial<FederatedJobInput['spec']>;

interface Run {
  readonly parts?: Parts;
  readonly round?: number;
  readonly signal?: AbortSignal;
  readonly path?: string;
  readonly progress?: (percent: number) => void;
}

describe('worker trainer', () => {
  let folder: TemporaryDirectory;
  let path: string;
  const trainers: WorkerTrainer[] = [];

  before(async () => {
    folder = await temporaryDirectory();
    path = join(folder.path, 'trial.csv');
    await writeFile(path, trialCsv(400));
  });
  after(async () => {
    for (const trainer of trainers) await trainer.close();
    await folder.remove();
  });

  function open(options: WorkerTrainerOptions = {}): WorkerTrainer {
    const trainer = new WorkerTrainer(options);
    trainers.push(trainer);
    return trainer;
  }

  function train(trainer: WorkerTrainer, run: Run = {}): Promise<TrainingResult> {
    const spec = trainingSpec(run.parts);
    const { layout, weights } = modelOf(spec);
    const dataset = datasetHandle(run.path ?? path);
    const signal = run.signal ?? new AbortController().signal;
    return trainer.train(
      { jobId: 'job-1', round: run.round ?? 1, spec, layout, weights, dataset, signal },
      { progress: run.progress ?? (() => undefined) },
    );
  }

  const failureOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => undefined,
      (error: unknown) => error,
    );

  it('trains: the loss falls, the AUC rises, every row counts, progress ends at 100', async () => {
    const trainer = open();
    const percents: number[] = [];
    const { delta, examples, testExamples, loss, metrics } = await train(trainer, {
      parts: { training: { epochs: 10, batchSize: 16, optimizer: { type: 'Sgd', learningRate: 0.2 } } },
      progress: (percent) => {
        percents.push(percent);
      },
    });
    assert.match(trainer.backend, /^tfjs \d+\.\d+\.\d+ wasm$/);
    assert.equal(examples + testExamples, 400);
    assert.equal(percents.at(-1), 100);
    assert.deepEqual(
      percents,
      [...new Set(percents)].sort((a, b) => a - b),
    );
    const spec = trainingSpec();
    const { layout, weights } = modelOf(spec);
    const task = { jobId: 'job-1', spec, layout, dataset: datasetHandle(path) };
    const base = await trainer.evaluate({ ...task, weights: weights.slice() });
    assert.deepEqual(base.metrics, metrics);
    const trained = weights.map((value, index) => value + (delta[index] ?? 0));
    const better = await trainer.evaluate({ ...task, weights: trained.slice() });
    assert.ok(
      loss < base.loss && better.loss < base.loss,
      `${String(loss)} ${String(better.loss)} ${String(base.loss)}`,
    );
    assert.ok((better.metrics['auc'] ?? 0) > 0.8, JSON.stringify(better.metrics));
    const predictions = await trainer.predict({ ...task, weights: trained });
    assert.equal(auc(predictions), better.metrics['auc']);
  });

  it('gives the same bits for the same round, in the same worker and in another; other bits in another round', async () => {
    const trainer = open();
    const [first, again, apart, other] = [
      await train(trainer),
      await train(trainer),
      await train(open()),
      await train(trainer, { round: 2 }),
    ];
    assert.deepEqual(Buffer.from(again.delta.buffer), Buffer.from(first.delta.buffer));
    assert.deepEqual(Buffer.from(apart.delta.buffer), Buffer.from(first.delta.buffer));
    assert.equal(again.loss, first.loss);
    assert.notDeepEqual(Buffer.from(other.delta.buffer), Buffer.from(first.delta.buffer));
  });

  it('takes the memory of the weights and hands it back as the delta; a view is copied', async () => {
    const trainer = open();
    const spec = trainingSpec();
    const { layout, weights } = modelOf(spec);
    const task = {
      jobId: 'job-1',
      round: 1,
      spec,
      layout,
      dataset: datasetHandle(path),
      signal: new AbortController().signal,
    };
    const view = new Float32Array(weights.length + 3).subarray(3);
    view.set(weights);
    const fromView = await trainer.train({ ...task, weights: view }, { progress: () => undefined });
    assert.deepEqual(view, modelOf(spec).weights);
    const fromOwn = await trainer.train({ ...task, weights }, { progress: () => undefined });
    assert.equal(weights.length, 0);
    assert.deepEqual(fromOwn.delta, fromView.delta);
  });

  it('agrees with the cpu backend to 1e-5', async () => {
    const trainer = open({ backends: ['cpu'] });
    const [cpu, wasm] = [await train(trainer), await train(open())];
    assert.match(trainer.backend, /cpu$/);
    for (const [index, value] of cpu.delta.entries())
      assert.ok(Math.abs(value - (wasm.delta[index] ?? Number.NaN)) < 1e-5);
  });

  it('says loudly that a backend does not serve, and trains on the next', async () => {
    const fallbacks: [string, readonly string[]][] = [];
    const trainer = open({
      backends: ['none' as BackendName, 'cpu'],
      onFallback: (backend, refused) => {
        fallbacks.push([backend, refused.map(({ backend: name, reason }) => `${name}: ${reason}`)]);
      },
    });
    await train(trainer);
    await train(trainer);
    assert.equal(fallbacks.length, 1);
    assert.match(fallbacks[0]?.[0] ?? '', /cpu$/);
    assert.match(fallbacks[0]?.[1].join() ?? '', /^none: .*does not start/);
  });

  it('leaves no tensor behind over many tasks, failed ones included', async () => {
    const trainer = open();
    await train(trainer);
    const { tensors } = trainer;
    for (const type of ['Momentum', 'Adam', 'Sgd'] as const) {
      await train(trainer, { parts: { training: { optimizer: { type, learningRate: 0.01 } } } });
      await failureOf(train(trainer, { parts: diverging }));
    }
    await train(trainer);
    assert.equal(trainer.tensors, tensors);
  });

  const diverging: Parts = {
    task: { type: 'Regression' },
    features: [{ name: 'x1', type: 'Numeric', scale: 1e-6 }],
    dataset: { name: 'trial', label: 'x2', testFraction: 0.25 },
    model: { name: 'trial', layers: [{ type: 'Dense', units: 1, activation: 'Linear' }] },
    training: { epochs: 50, optimizer: { type: 'Sgd', learningRate: 10 } },
    evaluation: { metrics: ['rmse'] },
  };

  it('reports a loss that is not finite as TRAINING_DIVERGED', async () => {
    await assert.rejects(
      train(open(), { parts: diverging }),
      refusal('TRAINING_DIVERGED', /epoch \d+, step \d+/),
    );
  });

  it('stops soon after its signal, and goes on with the next task in the same worker', async () => {
    const trainer = open();
    await train(trainer);
    const controller = new AbortController();
    const endless: Parts = {
      training: { epochs: 300, batchSize: 1, optimizer: { type: 'Sgd', learningRate: 0.01 } },
    };
    let abortedAt = 0;
    const work = train(trainer, {
      parts: endless,
      signal: controller.signal,
      progress: () => {
        abortedAt ||= performance.now();
        controller.abort();
      },
    });
    await assert.rejects(work, refusal('JOB_CANCELLED'));
    assert.ok(abortedAt > 0 && performance.now() - abortedAt < 2_000);
    assert.ok((await train(trainer)).examples > 0);
    await assert.rejects(train(trainer, { signal: AbortSignal.abort() }), refusal('JOB_CANCELLED'));
  });

  it('runs tasks one after another, whoever asks', async () => {
    const trainer = open();
    const [alone] = [await train(trainer)];
    const together = await Promise.all([train(trainer), train(trainer, { round: 2 }), train(trainer)]);
    assert.deepEqual(together[0].delta, alone.delta);
    assert.deepEqual(together[2].delta, alone.delta);
  });

  it('fails the task of a worker that dies, without its words, and starts another', async () => {
    const trainer = open({ entry: new URL('../support/crashing-worker.js', import.meta.url) });
    const healthy = await train(trainer);
    for (const round of [CRASHES.exit, CRASHES.throw]) {
      const error = await failureOf(train(trainer, { round }));
      assert.ok(refusal('TRAINING_FAILED', /stopped unexpectedly/)(error), inspect(error));
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(CRASH_TEXT));
      assert.deepEqual((await train(trainer)).delta, healthy.delta);
    }
  });

  it('ends a worker that does not obey its signal', async () => {
    const trainer = open({ entry: new URL('../support/crashing-worker.js', import.meta.url), stopMs: 200 });
    const healthy = await train(trainer);
    await assert.rejects(
      train(trainer, { round: CRASHES.hang, signal: AbortSignal.timeout(100) }),
      refusal('JOB_CANCELLED'),
    );
    assert.deepEqual((await train(trainer)).delta, healthy.delta);
  });

  it('rejects the running task and all later ones when it is closed', async () => {
    const trainer = open();
    const work = failureOf(
      train(trainer, {
        parts: { training: { epochs: 300, batchSize: 1, optimizer: { type: 'Sgd', learningRate: 0.01 } } },
        progress: () => {
          trainer.close().catch(() => undefined);
        },
      }),
    );
    assert.ok(refusal('SHUTTING_DOWN')(await work));
    await assert.rejects(train(trainer), refusal('SHUTTING_DOWN'));
  });

  it('never repeats a planted value: not from a bad cell, a rare category, or the file name', async () => {
    const planted = 'canary-4711';
    const bad = join(folder.path, `${planted}.csv`);
    const cases: readonly [string, string, RegExp][] = [
      ['a bad number', `x1,x2,c,y\n${planted},1,red,yes\n`, /line 2, column "x1"/],
      ['a broken quote', `x1,x2,c,y\n1,1,"${planted}"red,yes\n`, /line 2/],
      ['no header', `1,1,${planted},yes\n`, /column "y" is not in the first line/],
    ];
    const trainer = open();
    for (const [, text, words] of cases) {
      await writeFile(bad, text);
      const error = await failureOf(train(trainer, { path: bad }));
      assert.ok(refusal('DATASET_INVALID', words)(error), inspect(error));
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes('4711'));
    }
    await writeFile(bad, trialCsv(100).replaceAll('green', planted));
    await train(trainer, { path: bad });
  });

  it('refuses too few rows and an unreadable file', async () => {
    const spec = trainingSpec();
    const { layout, weights } = modelOf(spec);
    const task = { jobId: 'job-1', spec, layout };
    const trainer = open();
    await assert.rejects(
      trainer.evaluate({ ...task, weights: weights.slice(), dataset: datasetHandle(path, 401) }),
      refusal('DATASET_TOO_SMALL'),
    );
    await assert.rejects(
      trainer.evaluate({ ...task, weights, dataset: datasetHandle(join(folder.path, 'none.csv')) }),
      refusal('DATASET_UNKNOWN'),
    );
  });
});
