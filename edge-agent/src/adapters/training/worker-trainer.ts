import { LIMITS, TributaryError, type FederatedJobSpec, type Layout } from '@tributary/proto';

import type { Predictions } from '../../domain/metrics/predictions.js';
import type {
  ComputeShare,
  EvaluationResult,
  EvaluationTask,
  Trainer,
  TrainingCheckpoints,
  TrainingEvents,
  TrainingResult,
  TrainingTask,
} from '../../ports.js';
import { PORTABLE, type BackendName } from './backend.js';
import type { Explanation, TaskRequest, WorkerReply, WorkerRequest, WorkerResult } from './messages.js';
import type { NativePackages } from './native-backend.js';
import type { Refusal } from './probe.js';
import { cancelled, createStopWord } from './stop-word.js';
import type { TrialModel } from './trial.js';
import { TrainingWorker } from './training-worker.js';

export interface WorkerTrainerOptions {
  /** Backends to try for each model, in order; wasm, then cpu, by default. */
  readonly backends?: readonly BackendName[];
  /** Where native packages lie that are not installed beside this one. */
  readonly packages?: NativePackages;
  /** Environment of the processes in which bindings are tried: what libraries are found by. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Called where backends that come first do not serve a model, once a model. */
  readonly onFallback?: (backend: string, refused: readonly Refusal[]) => void;
  /** Module that the worker runs; the training worker of this package by default. */
  readonly entry?: URL;
  /** What that module is given. */
  readonly workerData?: unknown;
  /** Milliseconds until a worker that does not obey a cancellation is ended; LIMITS.trainerStopMs by default. */
  readonly stopMs?: number;
  /** Milliseconds between two checkpoints, at least; LIMITS.checkpointEveryMs by default. */
  readonly checkpointEveryMs?: number;
}

interface Call {
  readonly signal?: AbortSignal;
  readonly events?: TrainingEvents;
  readonly checkpoints?: TrainingCheckpoints;
}

type TaskParts = Pick<TaskRequest, 'kind' | 'round'> & { readonly task: EvaluationTask };

/** What policies call them. */
const BACKEND_NAMES: Readonly<Record<NonNullable<ComputeShare['backends']>[number], BackendName>> = {
  NativeGpu: 'native-gpu',
  NativeCpu: 'native-cpu',
  WebGpu: 'webgpu',
  Wasm: 'wasm',
  Cpu: 'cpu',
};

const DEFAULT_ENTRY = new URL('./worker.js', import.meta.url);

/**
 * The trainer in a worker thread, which has a TensorFlow.js of its own, so that training stalls neither heartbeats nor
 * inference. Tasks run one after another. A worker that dies fails its task with TRAINING_FAILED, and the next task
 * starts a new one.
 */
export class WorkerTrainer implements Trainer {
  readonly #options: WorkerTrainerOptions;
  readonly #worker: TrainingWorker;
  #backend = 'tfjs';
  #last: Promise<unknown> = Promise.resolve();
  #tensors = 0;

  constructor(options: WorkerTrainerOptions = {}) {
    this.#options = options;
    this.#worker = new TrainingWorker({
      entry: options.entry ?? DEFAULT_ENTRY,
      data: options.workerData,
      stopMs: options.stopMs ?? LIMITS.trainerStopMs,
    });
  }

  get backend(): string {
    return this.#backend;
  }

  /** Tensors that the worker held after its last task, besides those of the model: constant, or there is a leak. */
  get tensors(): number {
    return this.#tensors;
  }

  async train(task: TrainingTask, events: TrainingEvents): Promise<TrainingResult> {
    const { signal, round, checkpoints } = task;
    const call = { signal, events, ...(checkpoints && { checkpoints }) };
    const result = await this.#enqueue(() => this.#task({ kind: 'train', round, task }, call));
    if (result.kind !== 'train') throw mixedUp();
    const { kind, ...rest } = result;
    return rest;
  }

  async evaluate(task: EvaluationTask): Promise<EvaluationResult> {
    const result = await this.#enqueue(() => this.#task({ kind: 'evaluate', round: 0, task }, {}));
    if (result.kind !== 'evaluate') throw mixedUp();
    const { kind, ...rest } = result;
    return rest;
  }

  /** Scores and labels of the site's test split. They are records: what leaves the site is only made from them. */
  async predict(task: EvaluationTask): Promise<Predictions> {
    const result = await this.#enqueue(() => this.#task({ kind: 'predict', round: 0, task }, {}));
    if (result.kind !== 'predict') throw mixedUp();
    const { kind, ...rest } = result;
    return rest;
  }

  /** Which backend would train the model, and why those before it would not. */
  async explain(model: TrialModel): Promise<Explanation> {
    const result = await this.#enqueue(() => {
      const request = {
        ...this.#request(model.spec, model.layout),
        kind: 'explain',
        input: model.input,
      } as const;
      return this.#worker.run(request, [], { onReply: () => undefined });
    });
    if (result.kind !== 'explain') throw mixedUp();
    const { chosen, refused } = result;
    return { chosen, refused };
  }

  /** Ends the worker; a running task rejects with SHUTTING_DOWN. */
  close(): Promise<void> {
    return this.#worker.close();
  }

  #enqueue(work: () => Promise<WorkerResult>): Promise<WorkerResult> {
    const run = this.#last.then(work);
    this.#last = run.catch(() => undefined);
    return run;
  }

  #request(spec: FederatedJobSpec, layout: Layout): Omit<WorkerRequest, 'kind' | 'input'> {
    const { backends = PORTABLE, packages = {}, environment = {} } = this.#options;
    return { spec, layout, backends, packages, environment, stop: createStopWord() };
  }

  #share({ backends, cpuPercent }: ComputeShare = { cpuPercent: 100 }) {
    return { cpuPercent, ...(backends && { backends: this.#allowed(backends) }) };
  }

  /** Of the backends of this trainer those that the site allows. */
  #allowed(names: NonNullable<ComputeShare['backends']>): readonly BackendName[] {
    const allowed = new Set(names.map((name) => BACKEND_NAMES[name]));
    const backends = (this.#options.backends ?? PORTABLE).filter((name) => allowed.has(name));
    if (backends.length > 0) return backends;
    throw new TributaryError(
      'TRAINING_FAILED',
      'the policy of the site allows none of the backends of its trainer (spec.compute.backends)',
    );
  }

  async #task({ kind, round, task }: TaskParts, call: Call): Promise<WorkerResult> {
    const { signal, events, checkpoints } = call;
    const { spec, layout, dataset, fit, compute } = task;
    if (signal?.aborted === true) throw cancelled();
    const resume = await checkpoints?.read();
    const weights = transferable(task.weights);
    const request: TaskRequest = {
      ...this.#request(spec, layout),
      ...this.#share(compute),
      kind,
      round,
      dataset,
      weights,
      ...(fit && { fit }),
      ...(checkpoints && { checkpointEveryMs: this.#options.checkpointEveryMs ?? LIMITS.checkpointEveryMs }),
      ...(resume && { resume }),
    };
    const writes = new LatestWrite((bytes) => checkpoints?.write(bytes) ?? Promise.resolve());
    try {
      return await this.#worker.run(request, [weights.buffer as ArrayBuffer], {
        ...(signal && { signal }),
        onReply: (reply) => this.#note(reply, events, writes),
      });
    } finally {
      await writes.settled();
    }
  }

  #note(reply: WorkerReply, events: TrainingEvents | undefined, writes: LatestWrite): void {
    switch (reply.type) {
      case 'progress':
        events?.progress(reply.percent);
        break;
      case 'resumed':
        events?.resumed?.(reply.epochs);
        break;
      case 'checkpoint':
        writes.add(reply.bytes);
        break;
      case 'backend':
        this.#backend = reply.label;
        if (reply.refused.length > 0) this.#options.onFallback?.(reply.label, reply.refused);
        break;
      case 'result':
        this.#tensors = reply.tensors;
        break;
      case 'failure':
        break;
    }
  }
}

/** Writes one value at a time; of those that come meanwhile only the newest is written. */
class LatestWrite {
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  #next: Uint8Array | undefined;
  #writing: Promise<void> | undefined;

  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write;
  }

  add(bytes: Uint8Array): void {
    this.#next = bytes;
    this.#writing ??= this.#drain();
  }

  async settled(): Promise<void> {
    await this.#writing;
  }

  async #drain(): Promise<void> {
    for (let bytes = this.#take(); bytes !== undefined; bytes = this.#take()) await this.#write(bytes);
    this.#writing = undefined;
  }

  #take(): Uint8Array | undefined {
    const bytes = this.#next;
    this.#next = undefined;
    return bytes;
  }
}

/** The weights with a buffer of their own, which can change hands: a view, or shared memory, is copied. */
function transferable(weights: Float32Array): Float32Array {
  const whole = weights.byteLength === weights.buffer.byteLength && weights.buffer instanceof ArrayBuffer;
  return whole ? weights : Float32Array.from(weights);
}

const mixedUp = (): TributaryError =>
  new TributaryError('INTERNAL', 'the training worker answered another question');
