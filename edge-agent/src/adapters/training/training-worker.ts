import type { Worker } from 'node:worker_threads';

import { LIMITS, TributaryError } from '@tributary/proto';

import { TRAINER_DIED } from '../../domain/training-error.js';
import { fromFailure } from './failures.js';
import type { WorkerReply, WorkerRequest, WorkerResult } from './messages.js';
import { onAbort, startSilentWorker } from './silent-worker.js';
import { cancelled, setStopped, type StopWord } from './stop-word.js';

export interface TrainingWorkerOptions {
  /** Module that the worker runs. */
  readonly entry: URL;
  /** What that module is given. */
  readonly data: unknown;
  /** Milliseconds until a worker that does not obey a cancellation is ended. */
  readonly stopMs: number;
}

export interface RunHooks {
  readonly signal?: AbortSignal;
  readonly onReply: (reply: WorkerReply) => void;
}

/** The worker thread of a trainer: started when it is needed, ended where it does not obey, replaced where it died. */
export class TrainingWorker {
  readonly #options: TrainingWorkerOptions;
  #worker: Worker | undefined;
  #closed = false;
  /** What runs: its stop word, and its end. */
  #running: { readonly stop: StopWord; readonly ended: Promise<unknown> } | undefined;

  constructor(options: TrainingWorkerOptions) {
    this.#options = options;
  }

  /** Sends one request; resolves with its result. Ask for one at a time. */
  async run(
    request: WorkerRequest,
    transfer: readonly ArrayBuffer[],
    { signal, onReply }: RunHooks,
  ): Promise<WorkerResult> {
    if (this.#closed) throw new TributaryError('SHUTTING_DOWN', 'the trainer is closed');
    if (isAborted(signal)) throw cancelled();
    const worker = this.#start();
    const release = onAbort(signal, () => {
      setStopped(request.stop);
      return setTimeout(() => {
        this.#discard(worker);
      }, this.#options.stopMs).unref();
    });
    worker.ref();
    const work = this.#exchange(worker, request, transfer, onReply);
    this.#running = { stop: request.stop, ended: work.catch(() => undefined) };
    try {
      return await work;
    } catch (error) {
      if (this.#closed) throw new TributaryError('SHUTTING_DOWN', 'the trainer was closed');
      throw isAborted(signal) ? cancelled() : error;
    } finally {
      this.#running = undefined;
      release();
      worker.unref();
    }
  }

  /** Ends the worker; a running request rejects with SHUTTING_DOWN. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#askToStop();
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  /** A worker that ends by itself takes the processes with it that it started. */
  async #askToStop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    setStopped(running.stop);
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise((resolve) => {
      timer = setTimeout(resolve, LIMITS.trainerCloseMs);
    });
    await Promise.race([running.ended, grace]);
    clearTimeout(timer);
  }

  /** Collects replies until the result, a failure, or the end of the worker. */
  #exchange(
    worker: Worker,
    request: WorkerRequest,
    transfer: readonly ArrayBuffer[],
    onReply: (reply: WorkerReply) => void,
  ): Promise<WorkerResult> {
    return new Promise((resolve, reject) => {
      const settle = (action: () => void): void => {
        worker.off('message', onMessage).off('exit', onExit);
        action();
      };
      const onExit = (code: number): void => {
        settle(() => {
          reject(died(code));
        });
      };
      const onMessage = (reply: WorkerReply): void => {
        onReply(reply);
        if (reply.type === 'result')
          settle(() => {
            resolve(reply.result);
          });
        if (reply.type === 'failure')
          settle(() => {
            reject(fromFailure(reply.failure));
          });
      };
      worker.on('message', onMessage).on('exit', onExit);
      worker.postMessage(request, transfer);
    });
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = startSilentWorker(this.#options.entry, 'training', this.#options.data);
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

const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

const died = (code: number): TributaryError =>
  new TributaryError(
    'TRAINING_FAILED',
    `the training worker stopped unexpectedly (exit code ${String(code)})`,
    {
      hint: 'it may have run out of memory; another one goes on from the last checkpoint',
      fields: { exitCode: code, [TRAINER_DIED]: true },
    },
  );
