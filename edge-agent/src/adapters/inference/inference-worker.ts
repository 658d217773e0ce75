import { Worker } from 'node:worker_threads';

import { TributaryError } from '@tributary/proto';

import { fromFailure } from '../training/failures.js';
import type { InferenceAnswer, InferenceReply, InferenceRequest, Numbered } from './messages.js';

export interface InferenceWorkerOptions {
  /** Module that the worker runs. */
  readonly entry: URL;
  /** What that module is given. */
  readonly data: unknown;
  /** Milliseconds in which it must score a batch; else it is ended. */
  readonly answerMs: number;
  /** Milliseconds in which it must build a network; the first one waits for TensorFlow.js too. */
  readonly buildMs: number;
  /** Called once, when it has ended; every call has been rejected with {@link WorkerLost} then. */
  readonly onEnd: () => void;
}

/** The worker ended before it answered. */
export class WorkerLost extends Error {
  override readonly name = 'WorkerLost';
}

interface Call {
  readonly resolve: (answer: InferenceAnswer) => void;
  readonly reject: (error: Error) => void;
  readonly ms: number;
}

/** One worker thread with a TensorFlow.js of its own, from its start to its end. It answers in order. */
export class InferenceWorker {
  readonly #worker: Worker;
  readonly #options: InferenceWorkerOptions;
  /** In the order of their answers: only the first is at work. */
  readonly #calls = new Map<number, Call>();
  #timer: NodeJS.Timeout | undefined;
  #next = 0;
  #ended = false;

  constructor(options: InferenceWorkerOptions) {
    this.#options = options;
    const { entry, data, onEnd } = options;
    // No environment and no output: neither secrets go in, nor what a library prints about its data comes out.
    this.#worker = new Worker(entry, {
      env: {},
      execArgv: [],
      stdout: true,
      stderr: true,
      name: 'inference',
      workerData: data,
    });
    this.#worker.stdout.resume();
    this.#worker.stderr.resume();
    // What it died of may quote data; that it died is told by 'exit'. Without a listener it would end the process.
    this.#worker.on('error', () => undefined);
    this.#worker.on('message', (reply: InferenceReply) => {
      this.#settle(reply);
    });
    this.#worker.on('exit', () => {
      this.#ended = true;
      for (const { reject } of this.#calls.values()) reject(new WorkerLost());
      this.#calls.clear();
      this.#watch();
      onEnd();
    });
  }

  /** Rejects with WorkerLost, or with what the worker failed with. `transfer` goes over to the worker. */
  call(request: InferenceRequest, transfer: readonly ArrayBuffer[] = []): Promise<InferenceAnswer> {
    if (this.#ended) return Promise.reject(new WorkerLost());
    const id = (this.#next += 1);
    return new Promise((resolve, reject) => {
      const ms = request.kind === 'score' ? this.#options.answerMs : this.#options.buildMs;
      this.#calls.set(id, { resolve, reject, ms });
      if (this.#calls.size === 1) this.#watch();
      this.#worker.postMessage({ id, request } satisfies Numbered, transfer);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  /** Gives the call that is at work now its time. */
  #watch(): void {
    clearTimeout(this.#timer);
    const [first] = this.#calls.values();
    if (first === undefined) return;
    this.#timer = setTimeout(() => {
      this.end().catch(() => undefined);
    }, first.ms).unref();
  }

  #settle(reply: InferenceReply): void {
    const call = this.#calls.get(reply.id);
    if (call === undefined) return;
    this.#calls.delete(reply.id);
    this.#watch();
    if ('answer' in reply) call.resolve(reply.answer);
    else call.reject(failed(fromFailure(reply.failure)));
  }
}

/** The worker's word for what nobody foresaw is that of training. */
function failed(error: TributaryError): TributaryError {
  if (error.code !== 'TRAINING_FAILED') return error;
  return new TributaryError('UNAVAILABLE', 'the model failed on these rows', { cause: error });
}
