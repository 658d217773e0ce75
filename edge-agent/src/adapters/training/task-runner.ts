import { memory } from '@tensorflow/tfjs-core';
import { compileFeatures, SOFTWARE_VERSION, TributaryError } from '@tributary/proto';

import { measureAll } from '../../domain/metrics/subgroups.js';
import { DatasetCache } from '../datasets/dataset-cache.js';
import { loadDataset, type EncodedDataset } from '../datasets/encoded-dataset.js';
import { BackendChoice } from './backend-choice.js';
import { CheckpointWriter, readResume } from './checkpointing.js';
import { predict } from './evaluation.js';
import { requireHeapSpace, requireModelSpace, requireStepSpace } from './memory-budget.js';
import type { ExplainRequest, TaskRequest, WorkerReply, WorkerRequest, WorkerResult } from './messages.js';
import { Network } from './network.js';
import { Pace } from './pace.js';
import { chooseBackend } from './probe.js';
import { requireRunning } from './stop-word.js';
import { trainEpochs, type LoopHooks } from './training-loop.js';
import { TrainingStep } from './training-step.js';

type Report = (reply: WorkerReply) => void;

interface Answer {
  readonly result: WorkerResult;
  readonly tensors: number;
}

/** One request at work. */
interface Task {
  readonly request: TaskRequest;
  readonly network: Network;
  readonly dataset: EncodedDataset;
  readonly hooks: LoopHooks;
  /** What the bits of the training depend on besides job, round and base model. */
  readonly identity: string;
  readonly report: Report;
}

/** Runs requests one after another, and keeps what the next round needs again: the encoded rows, the probed backend. */
export class TaskRunner {
  readonly #datasets = new DatasetCache(loadDataset);
  readonly #choice = new BackendChoice();

  /** Answers with the result; rejects with what `toFailure` turns into a failure. */
  run(request: WorkerRequest, report: Report): Promise<Answer> {
    return request.kind === 'explain' ? explain(request) : this.#run(request, report);
  }

  async #run(request: TaskRequest, report: Report): Promise<Answer> {
    const pace = new Pace(request.cpuPercent, request.stop);
    const poll = (): void => {
      requireRunning(request.stop);
      pace.rest();
    };
    const { spec, layout } = request;
    const dataset = await this.#datasets.get(request, poll);
    requireModelSpace(spec, layout);
    const { shape } = compileFeatures(spec.features);
    const chosen = await this.#choice.start({ spec, layout, input: shape }, request, report);
    requireStepSpace(chosen.memory, Math.min(spec.training.batchSize, dataset.train.rows));
    const network = new Network(spec.model.layers, layout, shape);
    try {
      network.load(request.weights);
      const hooks: LoopHooks = {
        poll: () => {
          poll();
          requireHeapSpace();
        },
        progress: (percent) => {
          report({ type: 'progress', percent });
        },
      };
      const { declarationDigest } = request.dataset;
      const identity = [SOFTWARE_VERSION, chosen.label, declarationDigest, dataset.dataVersion].join(' ');
      return {
        result: answer({ request, network, dataset, hooks, identity, report }),
        tensors: memory().numTensors - network.variables.length,
      };
    } finally {
      network.dispose();
    }
  }
}

async function explain(request: ExplainRequest): Promise<Answer> {
  const { backend, refused } = await chooseBackend(request, request.backends, request);
  return { result: { kind: 'explain', chosen: backend, refused }, tensors: 0 };
}

function answer(task: Task): WorkerResult {
  const { request, network, dataset, hooks } = task;
  const { spec } = request;
  const { loss, ...predictions } = predict(network, dataset.test, spec, hooks.poll);
  if (request.kind === 'predict') return { kind: 'predict', ...predictions };
  const places = dataset.subgroups.map(({ indices }) => indices);
  const measured = measureAll(spec.evaluation, predictions, places, request.dataset.minCount);
  const testExamples = dataset.test.rows;
  if (request.kind === 'evaluate') return { kind: 'evaluate', examples: testExamples, loss, ...measured };
  return { kind: 'train', ...train(task), ...measured, testExamples, dataVersion: dataset.dataVersion };
}

/** The delta takes the place of the base weights in the memory that came with the request. */
function train({ request, network, dataset, hooks, identity, report }: Task) {
  const { spec, round, weights } = request;
  const step = new TrainingStep(network, spec);
  try {
    const writer = new CheckpointWriter(request, identity, report);
    const { loss, examples } = trainEpochs({
      step,
      rows: dataset.train,
      spec,
      round,
      hooks: { ...hooks, epochDone: (take) => writer.epochDone(take) },
      resume: readResume(request, identity, report),
    });
    network.toDelta(weights);
    if (!weights.every(Number.isFinite))
      throw new TributaryError('TRAINING_DIVERGED', 'a weight was not finite after the last step', {
        hint: 'lower training.optimizer.learningRate',
      });
    return { delta: weights, examples, loss };
  } finally {
    step.dispose();
  }
}
