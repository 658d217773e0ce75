import { Worker } from 'node:worker_threads';

import { LIMITS, TributaryError } from '@tributary/proto';

import type { Predictions } from '../../domain/metrics/predictions.js';
import type {
  EvaluationResult,
  EvaluationTask,
  Trainer,
  TrainingEvents,
  TrainingResult,
  TrainingTask,
} from '../../ports.js';
import type { BackendName } from './backend.js';
import { fromFailure } from './failures.js';
import type { WorkerReply, WorkerRequest, WorkerResult } from './messages.js';

export interface WorkerTrainerOptions {
  /** Backends to try for each model, in order; wasm, then cpu, by default. */
  readonly backends?: readonly BackendName[];
  /** Called where a backend that comes first does not serve a model: training goes on, but slower. */
  readonly onFallback?: (backend: string, refused: readonly string[]) => void;
  /** Module that the worker runs; the training worker of this package by default. */
  readonly entry?: URL;
  /** Milliseconds until a worker that does not obey a cancellation is ended; LIMITS.trainerStopMs by default. */
  readonly stopMs?: number;
}

type RequestParts = Pick<WorkerRequest, 'kind' | 'round'> & { readonly task: EvaluationTask };

interface Call {
  readonly signal: AbortSignal | undefined;
  readonly progress: (percent: number) => void;
}

const DEFAULT_BACKENDS: readonly BackendName[] = ['wasm', 'cpu'];
const DEFAULT_ENTRY = new URL('./worker.js', import.meta.url);

/**
 * The trainer in a worker thread, which has a TensorFlow.js of its own, so that training stalls neither heartbeats nor
 * inference. Tasks run one after another. A worker that dies fails its task with TRAINING_FAILED, and the next task
 * starts a new one.
 */
export class WorkerTrainer implements Trainer {
  readonly #options: WorkerTrainerOptions;
  #worker: Worker | undefined;
  #backend = 'tfjs';
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;
  #tensors = 0;

  constructor(options: WorkerTrainerOptions = {}) {
    this.#options = options;
  }

  get backend(): string {
    return this.#backend;
  }

  /** Tensors that the worker held after its last task, besides those of the model: constant, or there is a leak. */
  get tensors(): number {
    return this.#tensors;
  }

  async train(task: TrainingTask, events: TrainingEvents): Promise<TrainingResult> {
    const { signal, round } = task;
    const result = await this.#enqueue(
      { kind: 'train', round, task },
      {
        signal,
        progress: (percent) => {
          events.progress(percent);
        },
      },
    );
    if (result.kind !== 'train') throw mixedUp();
    const { delta, examples, loss, metrics, testExamples } = result;
    return { delta, examples, loss, metrics, testExamples };
  }

  async evaluate(task: EvaluationTask): Promise<EvaluationResult> {
    const result = await this.#enqueue({ kind: 'evaluate', round: 0, task }, quiet);
    if (result.kind !== 'evaluate') throw mixedUp();
    const { examples, loss, metrics } = result;
    return { examples, loss, metrics };
  }

  /** Scores and labels of the site's test split. They are records: what leaves the site is only made from them. */
  async predict(task: EvaluationTask): Promise<Predictions> {
    const result = await this.#enqueue({ kind: 'predict', round: 0, task }, quiet);
    if (result.kind !== 'predict') throw mixedUp();
    const { scores, labels, outputs } = result;
    return { scores, labels, outputs };
  }

  /** Ends the worker; a running task rejects with SHUTTING_DOWN. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #enqueue(parts: RequestParts, call: Call): Promise<WorkerResult> {
    const run = this.#last.then(() => this.#run(parts, call));
    this.#last = run.catch(() => undefined);
    return run;
  }

  async #run({ kind, round, task }: RequestParts, { signal, progress }: Call): Promise<WorkerResult> {
    if (this.#closed) throw new TributaryError('SHUTTING_DOWN', 'the trainer is closed');
    if (isAborted(signal)) throw cancelled();
    const { spec, layout, dataset } = task;
    const weights = transferable(task.weights);
    const stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const backends = this.#options.backends ?? DEFAULT_BACKENDS;
    const request: WorkerRequest = { kind, spec, layout, weights, dataset, round, backends, stop };
    const worker = this.#start();
    const release = onAbort(signal, () => {
      Atomics.store(stop, 0, 1);
      return setTimeout(() => {
        this.#discard(worker);
      }, this.#options.stopMs ?? LIMITS.trainerStopMs).unref();
    });
    worker.ref();
    try {
      return await this.#exchange(worker, request, progress);
    } catch (error) {
      throw isAborted(signal) ? cancelled() : error;
    } finally {
      release();
      worker.unref();
    }
  }

  /** Sends the request and collects replies until the result, a failure, or the end of the worker. */
  #exchange(
    worker: Worker,
    request: WorkerRequest,
    progress: (percent: number) => void,
  ): Promise<WorkerResult> {
    return new Promise((resolve, reject) => {
      const settle = (action: () => void): void => {
        worker.off('message', onMessage).off('exit', onExit);
        action();
      };
      const onExit = (code: number): void => {
        this.#worker = undefined;
        settle(() => {
          reject(this.#closed ? new TributaryError('SHUTTING_DOWN', 'the trainer was closed') : died(code));
        });
      };
      const onMessage = (reply: WorkerReply): void => {
        switch (reply.type) {
          case 'progress':
            progress(reply.percent);
            break;
          case 'backend':
            this.#noteBackend(reply.label, reply.refused);
            break;
          case 'result':
            this.#tensors = reply.tensors;
            settle(() => {
              resolve(reply.result);
            });
            break;
          case 'failure':
            settle(() => {
              reject(fromFailure(reply.failure));
            });
        }
      };
      worker.on('message', onMessage).on('exit', onExit);
      worker.postMessage(request, [request.weights.buffer as ArrayBuffer]);
    });
  }

  #noteBackend(label: string, refused: readonly string[]): void {
    this.#backend = label;
    if (refused.length > 0) this.#options.onFallback?.(label, refused);
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    // No environment and no output: neither secrets go in, nor what a library prints about its data comes out.
    const worker = new Worker(this.#options.entry ?? DEFAULT_ENTRY, {
      env: {},
      execArgv: [],
      stdout: true,
      stderr: true,
      name: 'training',
    });
    worker.stdout.resume();
    worker.stderr.resume();
    // What it died of may quote data; that it died is told by 'exit'. Without a listener it would end the process.
    worker.on('error', () => undefined);
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    this.#worker = worker;
    return worker;
  }

  #discard(worker: Worker): void {
    if (this.#worker === worker) this.#worker = undefined;
    worker.terminate().catch(() => undefined);
  }
}

const quiet: Call = { signal: undefined, progress: () => undefined };

/** The weights with a buffer of their own, which can change hands: a view, or shared memory, is copied. */
function transferable(weights: Float32Array): Float32Array {
  const whole = weights.byteLength === weights.buffer.byteLength && weights.buffer instanceof ArrayBuffer;
  return whole ? weights : Float32Array.from(weights);
}

/** Runs `action` when the signal fires; the returned function takes that back and clears the timer of the action. */
function onAbort(signal: AbortSignal | undefined, action: () => NodeJS.Timeout): () => void {
  let timer: NodeJS.Timeout | undefined;
  const listener = (): void => {
    timer = action();
  };
  signal?.addEventListener('abort', listener, { once: true });
  return () => {
    signal?.removeEventListener('abort', listener);
    clearTimeout(timer);
  };
}

const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

const cancelled = (): TributaryError => new TributaryError('JOB_CANCELLED', 'the training was cancelled');

const mixedUp = (): TributaryError =>
  new TributaryError('INTERNAL', 'the training worker answered another question');

const died = (code: number): TributaryError =>
  new TributaryError(
    'TRAINING_FAILED',
    `the training worker stopped unexpectedly (exit code ${String(code)})`,
    {
      hint: 'it may have run out of memory; the next round starts a new one',
      fields: { exitCode: code },
    },
  );
