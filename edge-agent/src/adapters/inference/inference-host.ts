import { LIMITS, TributaryError } from '@tributary/proto';

import { InferenceWorker, WorkerLost } from './inference-worker.js';
import type { BuildRequest } from './messages.js';

export interface InferenceHostOptions {
  /** Module that the worker runs. */
  readonly entry: URL;
  readonly data: unknown;
  readonly answerMs: number;
  readonly buildMs: number;
  /** Milliseconds until a worker that died is replaced; doubled each time that it dies again without an answer. */
  readonly restartMs: number;
  /** The worker is there again, with its networks. */
  readonly onUp: () => void;
  /** The worker died so often in a row; it is tried again. */
  readonly onDown: (times: number) => void;
}

/** Makes what the worker builds: weights go over to it, so that they are read each time. */
export type Recipe = () => Promise<BuildRequest>;

/** Keeps a worker with its networks alive: one that dies is replaced, and builds them again. */
export class InferenceHost {
  readonly #options: InferenceHostOptions;
  readonly #recipes = new Map<string, Recipe>();
  /** Networks that could not be built again. */
  readonly #broken = new Map<string, TributaryError>();
  #worker: InferenceWorker | undefined;
  #begun = false;
  #up = false;
  #closed = false;
  #restarts = 0;
  #deaths = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: InferenceHostOptions) {
    this.#options = options;
  }

  /** False while a worker is being replaced. */
  get up(): boolean {
    return this.#up;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Networks that it has, or will have again. */
  get keys(): ReadonlySet<string> {
    return new Set(this.#recipes.keys());
  }

  /** Builds the networks of another one, except those that could not be built there either. */
  async takeOver(other: InferenceHost): Promise<void> {
    for (const [key, recipe] of other.#recipes) {
      const broken = other.#broken.get(key);
      if (broken === undefined) await this.build(key, recipe);
      else {
        this.#recipes.set(key, recipe);
        this.#broken.set(key, broken);
      }
    }
  }

  /** Builds a network, on a first worker where there is none; resolves with its backend. */
  async build(key: string, recipe: Recipe): Promise<string> {
    const request = await recipe();
    if (this.#closed) throw shutDown();
    if (!this.#begun) {
      this.#begun = true;
      this.#start();
      this.#up = true;
    }
    try {
      const backend = await this.#send(request);
      this.#recipes.set(key, recipe);
      this.#broken.delete(key);
      return backend;
    } catch (error) {
      if (error instanceof WorkerLost)
        throw new TributaryError('UNAVAILABLE', 'the inference worker ended while it loaded the model', {
          hint: 'it may have run out of memory',
        });
      throw error;
    }
  }

  /** Scores of encoded rows. Rejects with WorkerLost where it may be tried again. `inputs` goes over to the worker. */
  async score(key: string, inputs: Float32Array): Promise<Float32Array> {
    const broken = this.#broken.get(key);
    if (broken !== undefined) throw broken;
    if (this.#worker === undefined || !this.#up) throw new WorkerLost();
    const answer = await this.#worker.call({ kind: 'score', key, inputs }, [inputs.buffer as ArrayBuffer]);
    this.#deaths = 0;
    if (answer.kind !== 'scores') throw mixedUp();
    return answer.scores;
  }

  async drop(key: string): Promise<void> {
    this.#recipes.delete(key);
    this.#broken.delete(key);
    // A worker that has died has no networks any more.
    await this.#worker?.call({ kind: 'drop', key }).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#up = false;
    clearTimeout(this.#timer);
    await this.#worker?.end();
  }

  async #send(request: BuildRequest): Promise<string> {
    if (this.#worker === undefined) throw new WorkerLost();
    const answer = await this.#worker.call(request, [request.weights.buffer as ArrayBuffer]);
    if (answer.kind !== 'built') throw mixedUp();
    return answer.backend;
  }

  #start(): void {
    const { entry, data, answerMs, buildMs } = this.#options;
    const worker: InferenceWorker = new InferenceWorker({
      entry,
      data,
      answerMs,
      buildMs,
      onEnd: () => {
        if (this.#worker === worker) this.#ended();
      },
    });
    this.#worker = worker;
  }

  #ended(): void {
    this.#worker = undefined;
    this.#up = false;
    if (this.#closed) return;
    this.#deaths += 1;
    this.#options.onDown(this.#deaths);
    const delay = Math.min(LIMITS.inferenceRestartMaxMs, this.#options.restartMs * 2 ** (this.#deaths - 1));
    this.#timer = setTimeout(() => {
      this.#restart().catch(() => undefined);
    }, delay).unref();
  }

  async #restart(): Promise<void> {
    if (this.#closed) return;
    this.#restarts += 1;
    this.#start();
    const worker = this.#worker;
    for (const [key, recipe] of [...this.#recipes]) {
      try {
        await this.#send(await recipe());
        this.#broken.delete(key);
      } catch (error) {
        // The next worker builds all of them again.
        if (error instanceof WorkerLost || this.#worker !== worker) return;
        this.#broken.set(key, TributaryError.from(error));
      }
    }
    this.#up = true;
    this.#options.onUp();
  }
}

const mixedUp = (): TributaryError =>
  new TributaryError('INTERNAL', 'the inference worker answered another question');

const shutDown = (): TributaryError => new TributaryError('SHUTTING_DOWN', 'predictions have ended');
