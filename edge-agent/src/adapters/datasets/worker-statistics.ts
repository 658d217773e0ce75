import { Worker } from 'node:worker_threads';

import { TributaryError, type SiteStatistics } from '@tributary/proto';

import type { RowStatistics, StatisticsTask } from '../../ports.js';
import { fromFailure } from '../training/failures.js';
import type { WorkerFailure } from '../training/messages.js';

/** What the worker is given. */
export interface StatisticsRequest extends Omit<StatisticsTask, 'signal'> {
  /** One shared word; not 0 means stop. Shared memory, because a worker that computes reads no messages. */
  readonly stop: Int32Array;
}

export type StatisticsReply =
  | { readonly type: 'result'; readonly statistics: SiteStatistics }
  | { readonly type: 'failure'; readonly failure: WorkerFailure };

/** Passes over the rows in a worker thread of their own, which ends with each: they are rare, and heartbeats go on. */
export class WorkerStatistics implements RowStatistics {
  collect({ dataset, spec, signal }: StatisticsTask): Promise<SiteStatistics> {
    if (signal.aborted) return Promise.reject(cancelled());
    const stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const request: StatisticsRequest = { dataset, spec, stop };
    // No environment and no output: neither secrets go in, nor what a library prints about its data comes out.
    const worker = new Worker(new URL('./statistics-worker.js', import.meta.url), {
      workerData: request,
      env: {},
      execArgv: [],
      stdout: true,
      stderr: true,
      name: 'statistics',
    });
    worker.stdout.resume();
    worker.stderr.resume();
    const end = (): void => {
      Atomics.store(stop, 0, 1);
    };
    signal.addEventListener('abort', end, { once: true });
    return answerOf(worker).finally(() => {
      signal.removeEventListener('abort', end);
    });
  }
}

/** The answer of the worker, once it has ended: by then it has let its files go. */
function answerOf(worker: Worker): Promise<SiteStatistics> {
  return new Promise((resolve, reject) => {
    let reply: StatisticsReply | undefined;
    worker.on('message', (message: StatisticsReply) => {
      reply = message;
    });
    // What it died of may quote data; that it died is told by 'exit'.
    worker.on('error', () => undefined);
    worker.on('exit', () => {
      if (reply === undefined) reject(died());
      else if (reply.type === 'failure') reject(fromFailure(reply.failure));
      else resolve(reply.statistics);
    });
  });
}

const cancelled = (): TributaryError => new TributaryError('JOB_CANCELLED', 'the training was cancelled');

const died = (): TributaryError =>
  new TributaryError('TRAINING_FAILED', 'the worker that reads statistics stopped unexpectedly', {
    hint: 'it may have run out of memory',
  });
