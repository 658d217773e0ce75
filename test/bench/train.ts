import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { layoutOf } from '@tributary/proto';

import { median, rounded, type BenchCase, type BenchOptions, type BenchResult } from './bench-case.js';
import { BATCH, operationsOf, TRAIN_MODELS, type TrainModelName } from './train-models.js';
import type { TrainReply, TrainRequest, TrainWork } from './train-worker.js';

/** Milliseconds that one measurement is made to take, as far as a single step allows. */
const SLICE_MS = 400;
/** A step that takes longer is measured once. */
const SLOW_MS = 5_000;

/**
 * Training steps of batches of 32 as the agent does them, on wasm with our kernels, against a baseline and plain loops.
 * Each has a worker with a library of its own; they take turns, so that all see the same machine.
 */
export const train: BenchCase = async (options) => {
  const names = Object.keys(TRAIN_MODELS) as TrainModelName[];
  const chosen = options.model === undefined ? names : names.filter((name) => name === options.model);
  if (chosen.length === 0) throw new RangeError(`--model is one of ${names.join(', ')}`);
  const results: BenchResult[] = [];
  for (const name of chosen) results.push(await trainModel(name, options));
  return results;
};

async function trainModel(model: TrainModelName, { runs, note }: BenchOptions): Promise<BenchResult> {
  const { baseline, products, layers, input } = TRAIN_MODELS[model];
  const kinds = ['wasm', baseline, 'plain loops'] as const;
  const runners = await Promise.all(kinds.map((kind) => StepRunner.start({ model, kind })));
  const weights = await measureWeights(model, runs);
  try {
    for (const runner of runners) await runner.warmUp();
    for (let run = 0; run < runs; run += 1) {
      for (const runner of runners) await runner.measure();
      note(`${model} run ${String(run + 1)}: ${runners.map((runner) => runner.summary()).join(', ')}`);
    }
  } finally {
    for (const runner of runners) await runner.stop();
  }
  const [ms = Number.NaN, baselineMs = Number.NaN, floorMs = Number.NaN] = runners.map((runner) => runner.ms);
  const samples = (stepMs: number): number => rounded((1e3 * BATCH) / stepMs);
  return {
    model,
    ms: rounded(ms),
    floorMs: rounded(floorMs),
    ratio: rounded(baselineMs / ms),
    samplesPerSecond: samples(ms),
    gflops: rounded(operationsOf(products) / ms / 1e6),
    baseline: samples(baselineMs),
    baselineName: baseline,
    floor: samples(floorMs),
    batch: BATCH,
    parameters: layoutOf(layers, input).length,
    weights,
  };
}

/** Moves of 25 million weights: into the network, out of it, and a copy of as many bytes as the floor. */
async function measureWeights(
  model: TrainModelName,
  runs: number,
): Promise<Readonly<Record<string, number>>> {
  const worker = await StepRunner.start({ model, kind: 'weights' });
  const moves: TrainReply[] = [];
  try {
    // The first moves also make the memory.
    await worker.ask(1);
    for (let run = 0; run < Math.max(runs, 5); run += 1) moves.push(await worker.ask(1));
  } finally {
    await worker.stop();
  }
  const medianOf = (index: number): number => rounded(median(moves.map((move) => move[index] ?? Number.NaN)));
  return { intoMs: medianOf(0), outOfMs: medianOf(1), floorMs: medianOf(2) };
}

/** Steps in a worker, and how long they took. */
class StepRunner {
  readonly #worker: Worker;
  readonly #kind: TrainWork['kind'];
  readonly #times: number[] = [];
  #steps = 1;

  private constructor(work: TrainWork) {
    this.#kind = work.kind;
    this.#worker = new Worker(new URL('./train-worker.js', import.meta.url), { workerData: work });
  }

  static async start(work: TrainWork): Promise<StepRunner> {
    const runner = new StepRunner(work);
    await once(runner.#worker, 'message');
    return runner;
  }

  /** Median of the milliseconds of a step. */
  get ms(): number {
    return median(this.#times);
  }

  summary(): string {
    return `${this.#kind} ${this.ms.toFixed(2)} ms`;
  }

  async ask(steps: number): Promise<TrainReply> {
    const request: TrainRequest = { steps };
    this.#worker.postMessage(request);
    const [reply] = (await once(this.#worker, 'message')) as [TrainReply];
    return reply;
  }

  /** Lets the compiler see the code, and finds how many steps fill a slice. */
  async warmUp(): Promise<void> {
    const [first = 0] = await this.ask(1);
    if (first > SLOW_MS) {
      this.#times.push(first);
      return;
    }
    const [second = 0] = await this.ask(3);
    this.#steps = Math.max(1, Math.min(200, Math.round((3 * SLICE_MS) / second)));
    await this.ask(this.#steps);
    await this.ask(this.#steps);
  }

  async measure(): Promise<void> {
    if (this.ms > SLOW_MS) return;
    const [ms = Number.NaN] = await this.ask(this.#steps);
    this.#times.push(ms / this.#steps);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
