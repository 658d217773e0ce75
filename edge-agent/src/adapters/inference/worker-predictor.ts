import { LIMITS, TributaryError } from '@tributary/proto';

import type { Random } from '../../ports.js';
import type {
  BatchRule,
  LoadedModel,
  ModelLoad,
  ModelRef,
  PredictionRequest,
  PredictionResult,
  Predictor,
  PredictorFigures,
} from '../../serving-ports.js';
import { systemRandom } from '../system/random.js';
import { PORTABLE, type BackendName } from '../training/backend.js';
import { answersOf, encode, rowCount, split } from './batch.js';
import { InferencePool } from './inference-pool.js';
import { WorkerLost } from './inference-worker.js';
import { ModelLane, type Pending } from './model-lane.js';
import { buildRequest, describeVersion, keyOf, servedVersion, type ServedVersion } from './served-version.js';

export interface WorkerPredictorOptions {
  /** Backends to try for each model, in order; wasm, then cpu, by default. */
  readonly backends?: readonly BackendName[];
  /** Rows that may wait; LIMITS.predictionQueueRows by default. */
  readonly queueRows?: number;
  /** Module that the worker runs; the inference worker of this package by default. */
  readonly entry?: URL;
  /** What that module is given. */
  readonly workerData?: unknown;
  /** Milliseconds in which the worker must score a batch; LIMITS.predictionMs by default. */
  readonly answerMs?: number;
  /** Milliseconds until a worker that died is replaced. */
  readonly restartMs?: number;
  readonly random?: Random;
}

const DEFAULT_ENTRY = new URL('./worker.js', import.meta.url);
const DEFAULT_RULE: BatchRule = {
  maximumRows: LIMITS.predictionBatchRows,
  budgetMs: LIMITS.predictionBudgetMs,
};
/** Workers that may die over a request. */
const LOSSES = 2;
/** Workers that died in a row, after which what waits is told so. */
const DEATHS = 3;

/**
 * Predictions in worker threads of their own. Rows are encoded on this side, gathered into batches and scored there.
 * Which version answers is decided when its batch begins: a request in a batch that has begun is answered by the version
 * before, by name in its answer, and one that waits by the new one. Nothing waits while a version is made ready.
 */
export class WorkerPredictor implements Predictor {
  readonly #versions = new Map<string, ServedVersion>();
  /** Keys of versions that are being made ready. */
  readonly #loading = new Set<string>();
  readonly #lanes = new Map<string, ModelLane>();
  readonly #pool: InferencePool;
  readonly #backends: readonly BackendName[];
  readonly #queueRows: number;
  readonly #random: Random;
  #closed = false;

  constructor(options: WorkerPredictorOptions = {}) {
    this.#backends = options.backends ?? PORTABLE;
    this.#queueRows = options.queueRows ?? LIMITS.predictionQueueRows;
    this.#random = options.random ?? systemRandom;
    this.#pool = new InferencePool({
      entry: options.entry ?? DEFAULT_ENTRY,
      data: options.workerData,
      answerMs: options.answerMs ?? LIMITS.predictionMs,
      buildMs: LIMITS.modelBuildMs,
      restartMs: options.restartMs ?? LIMITS.inferenceRestartMs,
      onUp: () => {
        for (const lane of this.#lanes.values()) this.#pump(lane);
      },
      onDown: (keys, times) => {
        if (times >= DEATHS) this.#refuseWaiting(unavailable(), keys);
      },
    });
  }

  async load(load: ModelLoad): Promise<LoadedModel> {
    if (this.#closed) throw shutDown();
    const { name } = load.manifest;
    const version = servedVersion(load);
    const { key } = version;
    if (this.#versions.has(key) || this.#loading.has(key))
      throw new TributaryError('ALREADY_EXISTS', `${key} is loaded already`);
    if (this.#versions.size + this.#loading.size >= LIMITS.servedModels)
      throw new TributaryError(
        'LIMIT_EXCEEDED',
        `at most ${String(LIMITS.servedModels)} model versions are served at the same time; unload one`,
      );
    const { maximumRows } = load.batch ?? DEFAULT_RULE;
    this.#loading.add(key);
    try {
      version.backend = await this.#pool.build(key, () => buildRequest(version, maximumRows, this.#backends));
    } finally {
      this.#loading.delete(key);
    }
    this.#versions.set(key, version);
    if (!this.#lanes.has(name)) this.#lanes.set(name, new ModelLane(name, load.batch ?? DEFAULT_RULE));
    return describeVersion(version, false);
  }

  activate(ref: ModelRef): void {
    const { load } = this.#version(ref);
    const lane = this.#lane(ref.name);
    lane.active = ref.version;
    lane.queue.follow(load.batch ?? DEFAULT_RULE);
    this.#pump(lane);
  }

  async unload(ref: ModelRef): Promise<void> {
    const version = this.#version(ref);
    const lane = this.#lane(ref.name);
    if (lane.active === ref.version) {
      lane.active = undefined;
      for (const { reject } of lane.queue.drain((waiting) => waiting.version === undefined))
        reject(notLoaded(ref.name));
    }
    await new Promise<void>((resolve) => {
      version.leaving = resolve;
      this.#letGo(lane, version);
    });
    this.#versions.delete(version.key);
    await this.#pool.drop(version.key);
  }

  models(): readonly LoadedModel[] {
    return [...this.#versions.values()].map((version) => {
      const { manifest } = version.load;
      return describeVersion(version, this.#lanes.get(manifest.name)?.active === manifest.version);
    });
  }

  async predict(request: PredictionRequest): Promise<PredictionResult> {
    if (this.#closed) throw shutDown();
    const lane = this.#lane(request.model);
    try {
      const rows = this.#admit(lane, request);
      return await new Promise<PredictionResult>((resolve, reject) => {
        const { version, gathered = false } = request;
        const sinceMs = performance.now();
        lane.queue.add({ request, rows, version, sinceMs, gathered, resolve, reject, losses: 0, issues: [] });
        lane.requests += 1;
        lane.rows += rows;
        this.#pump(lane);
      });
    } catch (error) {
      if (TributaryError.from(error).code === 'OVERLOADED') lane.refused += 1;
      else lane.failed += 1;
      throw error;
    }
  }

  figures(): PredictorFigures {
    const models = [...this.#lanes.values()].map((lane) => lane.figures());
    return { models, waitingRows: this.#waitingRows(), restarts: this.#pool.restarts };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#refuseWaiting(shutDown());
    for (const lane of this.#lanes.values()) lane.stop();
    await this.#pool.close();
  }

  /** The rows of a request that may wait. */
  #admit(lane: ModelLane, request: PredictionRequest): number {
    const { plan } = this.#version({ name: lane.model, version: request.version ?? lane.active });
    const rows = rowCount(request, plan.width);
    if (rows === 0) throw new TributaryError('INVALID_ARGUMENT', 'rows: give at least one');
    if (request.decisionIds !== undefined && request.decisionIds.length !== rows)
      throw new TributaryError('INVALID_ARGUMENT', 'decisionIds: give one for each row');
    if (rows > LIMITS.predictionRows || rows * plan.width * 4 > LIMITS.predictionInputBytes)
      throw new TributaryError(
        'LIMIT_EXCEEDED',
        `at most ${String(LIMITS.predictionRows)} rows and ${String(LIMITS.predictionInputBytes)} bytes of inputs go in one request; send several`,
      );
    if (this.#waitingRows() + rows > this.#queueRows)
      throw new TributaryError('OVERLOADED', 'too many rows wait for a prediction; try again later', {
        fields: { retryAfterMs: LIMITS.retryAfterMs },
      });
    return rows;
  }

  #waitingRows(): number {
    let rows = 0;
    for (const { queue } of this.#lanes.values()) rows += queue.rows;
    return rows;
  }

  /** Begins the batches of a model that are due. */
  #pump(lane: ModelLane): void {
    while (this.#isUp(lane) && lane.hasRoom && !this.#closed) {
      const due = lane.queue.dueMs(performance.now());
      if (due === undefined) return;
      if (due > 0 || !lane.queue.isReady) {
        lane.later(Math.ceil(due), () => {
          this.#begin(lane);
          this.#pump(lane);
        });
        return;
      }
      this.#begin(lane);
    }
  }

  #begin(lane: ModelLane): void {
    if (!this.#isUp(lane) || !lane.hasRoom || this.#closed) return;
    const batch = lane.queue.take(lane.active);
    const [first] = batch;
    if (first === undefined) return;
    this.#run(lane, batch, first.version ?? lane.active).catch((error: unknown) => {
      for (const { reject } of batch) reject(TributaryError.from(error));
    });
  }

  async #run(lane: ModelLane, batch: readonly Pending[], number: number | undefined): Promise<void> {
    const version = this.#version({ name: lane.model, version: number });
    lane.running += 1;
    version.running += 1;
    try {
      const { fitting, others } = split(batch, version);
      for (const { reject } of others) reject(otherWidth(version));
      if (fitting.length > 0) await this.#answer(lane, fitting, version);
    } finally {
      lane.running -= 1;
      version.running -= 1;
      this.#letGo(lane, version);
      this.#pump(lane);
    }
  }

  async #answer(lane: ModelLane, batch: readonly Pending[], version: ServedVersion): Promise<void> {
    try {
      const scores = await this.#pool.score(version.key, encode(batch, version));
      lane.batches += 1;
      const now = { nowMs: performance.now(), random: this.#random };
      const answers = answersOf(batch, version, scores, now);
      for (const [index, { resolve, issues }] of batch.entries()) {
        const answer = answers[index];
        if (answer === undefined) continue;
        lane.issues += issues.length;
        lane.latencies.add(answer.latencyMs);
        resolve(answer);
      }
    } catch (error) {
      if (error instanceof WorkerLost) this.#lost(lane, batch);
      else for (const { reject } of batch) reject(TributaryError.from(error));
    }
  }

  /** Rows are predicted again by the next worker: nobody has had an answer. */
  #lost(lane: ModelLane, batch: readonly Pending[]): void {
    for (const pending of batch) pending.losses += 1;
    if (this.#closed) for (const { reject } of batch) reject(shutDown());
    else {
      for (const { losses, reject } of batch) if (losses >= LOSSES) reject(unavailable());
      lane.queue.putBack(batch.filter(({ losses }) => losses < LOSSES));
    }
  }

  /** Refuses what waits, for the versions of `keys` only where they are given. */
  #refuseWaiting(error: TributaryError, keys?: ReadonlySet<string>): void {
    for (const { model: name, active, queue } of this.#lanes.values())
      for (const { reject } of queue.drain(
        ({ version = active }) =>
          keys === undefined || (version !== undefined && keys.has(keyOf({ name, version }))),
      ))
        reject(error);
  }

  /** True where the worker that the next batch goes to is there, or the batch goes to none. */
  #isUp({ model: name, queue, active }: ModelLane): boolean {
    const version = queue.nextVersion(active);
    const key = version === undefined ? undefined : keyOf({ name, version });
    return key === undefined || !this.#versions.has(key) || this.#pool.isUp(key);
  }

  /** Ends an unloading for which nothing waits any more. */
  #letGo(lane: ModelLane, version: ServedVersion): void {
    const number = version.load.manifest.version;
    const awaited = version.running > 0 || lane.queue.has((waiting) => waiting.version === number);
    if (!awaited) version.leaving?.();
  }

  #lane(model: string): ModelLane {
    const lane = this.#lanes.get(model);
    if (lane === undefined) throw notLoaded(model);
    return lane;
  }

  #version({
    name,
    version,
  }: {
    readonly name: string;
    readonly version: number | undefined;
  }): ServedVersion {
    const found = version === undefined ? undefined : this.#versions.get(keyOf({ name, version }));
    if (found === undefined) throw notLoaded(version === undefined ? name : keyOf({ name, version }));
    return found;
  }
}

const notLoaded = (model: string): TributaryError =>
  new TributaryError('NOT_FOUND', `the model ${model} is not served here`, {
    hint: 'see which versions are: GET /v2/models/<name> of the local endpoint',
  });

const unavailable = (): TributaryError =>
  new TributaryError('UNAVAILABLE', 'the inference worker ended over these rows', {
    hint: 'it may have run out of memory; it is started again',
  });

const otherWidth = ({ key, plan }: ServedVersion): TributaryError =>
  new TributaryError('INVALID_ARGUMENT', `input: ${key} takes rows of ${String(plan.width)} values`);

const shutDown = (): TributaryError => new TributaryError('SHUTTING_DOWN', 'predictions have ended');
