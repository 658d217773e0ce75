import { memory } from '@tensorflow/tfjs-core';
import { LIMITS, TributaryError } from '@tributary/proto';

import { measure } from '../../domain/metrics/metric-functions.js';
import { loadCsvDataset, type EncodedDataset } from '../datasets/csv-dataset.js';
import { DatasetCache } from '../datasets/dataset-cache.js';
import { backendLabel, startBackend, type BackendName } from './backend.js';
import { DenseNetwork } from './dense-network.js';
import { predict } from './evaluation.js';
import type { WorkerReply, WorkerRequest, WorkerResult } from './messages.js';
import { chooseBackend } from './probe.js';
import { trainEpochs, type LoopHooks } from './training-loop.js';
import { TrainingStep } from './training-step.js';

type Report = (reply: WorkerReply) => void;

/** Runs requests one after another, and keeps what the next round needs again: the encoded rows, the probed backend. */
export class TaskRunner {
  readonly #datasets = new DatasetCache(loadCsvDataset);
  /** Backend by model, of the last few models; refusals are reported once a model. */
  readonly #backends = new Map<string, BackendName>();

  /** Answers with the result; rejects with what `toFailure` turns into a failure. */
  async run(
    request: WorkerRequest,
    report: Report,
  ): Promise<{ readonly result: WorkerResult; readonly tensors: number }> {
    const checkpoint = (): void => {
      if (Atomics.load(request.stop, 0) !== 0)
        throw new TributaryError('JOB_CANCELLED', 'the training was cancelled');
    };
    const dataset = await this.#datasets.get(request, checkpoint);
    requireTensorSpace(request);
    await this.#start(request, dataset.width, report);
    const network = new DenseNetwork(request.spec.model.layers, request.layout, dataset.width);
    try {
      network.load(request.weights);
      const hooks = {
        checkpoint,
        progress: (percent: number) => {
          report({ type: 'progress', percent });
        },
      };
      return {
        result: answer(request, network, dataset, hooks),
        tensors: memory().numTensors - network.variables.length,
      };
    } finally {
      network.dispose();
    }
  }

  async #start(request: WorkerRequest, width: number, report: Report): Promise<void> {
    const { spec, layout, backends } = request;
    const key = JSON.stringify([
      spec.model.layers,
      spec.task.type,
      spec.training.optimizer.type,
      width,
      backends,
    ]);
    const known = this.#backends.get(key);
    if (known !== undefined) {
      await startBackend(known);
      report({ type: 'backend', label: backendLabel(known), refused: [] });
      return;
    }
    const { backend, refused } = await chooseBackend(spec, layout, width, backends);
    const reasons = refused.map((refusal) => `${refusal.backend}: ${refusal.reason}`);
    if (backend === undefined)
      throw new TributaryError('TRAINING_FAILED', `no backend can train this model; ${reasons.join('; ')}`);
    if (this.#backends.size >= 16) this.#backends.clear();
    this.#backends.set(key, backend);
    await startBackend(backend);
    report({ type: 'backend', label: backendLabel(backend), refused: reasons });
  }
}

function answer(
  request: WorkerRequest,
  network: DenseNetwork,
  dataset: EncodedDataset,
  hooks: LoopHooks,
): WorkerResult {
  const { spec } = request;
  const { loss, ...predictions } = predict(network, dataset.test, spec.task, hooks.checkpoint);
  if (request.kind === 'predict') return { kind: 'predict', ...predictions };
  const metrics = measure(spec.evaluation.metrics, predictions);
  const testExamples = dataset.test.rows;
  if (request.kind === 'evaluate') return { kind: 'evaluate', examples: testExamples, loss, metrics };
  return { kind: 'train', ...train(request, network, dataset, hooks), metrics, testExamples };
}

/** The delta takes the place of the base weights in the memory that came with the request. */
function train(request: WorkerRequest, network: DenseNetwork, dataset: EncodedDataset, hooks: LoopHooks) {
  const step = new TrainingStep(network, request.spec);
  try {
    const loss = trainEpochs(step, dataset.train, request.spec.training, request.round, hooks);
    network.toDelta(request.weights);
    if (!request.weights.every(Number.isFinite))
      throw new TributaryError('TRAINING_DIVERGED', 'a weight was not finite after the last step', {
        hint: 'lower training.optimizer.learningRate',
      });
    return { delta: request.weights, examples: dataset.train.rows, loss };
  } finally {
    step.dispose();
  }
}

/** Weights, their gradients, the optimizer's moments, and the trial network of the probe. */
const COPIES = { Sgd: 4, Momentum: 6, Adam: 8 } as const;

function requireTensorSpace({ spec, layout }: WorkerRequest): void {
  const widest = Math.max(...spec.model.layers.map((layer) => layer.units));
  const activations = 4 * spec.model.layers.length * widest * spec.training.batchSize;
  const bytes =
    Float32Array.BYTES_PER_ELEMENT * (COPIES[spec.training.optimizer.type] * layout.length + activations);
  if (bytes <= LIMITS.tensorBytes) return;
  throw new TributaryError(
    'LIMIT_EXCEEDED',
    `training takes about ${String(bytes)} bytes of tensors, at most ${String(LIMITS.tensorBytes)} fit; use a smaller model or batch`,
  );
}
