import type { Worker } from 'node:worker_threads';

import { LIMITS, TributaryError, type SiteStatistics } from '@tributary/proto';

import type { RowStatistics, StatisticsTask } from '../../ports.js';
import { fromFailure } from '../training/failures.js';
import type { WorkerFailure } from '../training/messages.js';
import { onAbort, startSilentWorker } from '../training/silent-worker.js';
import { cancelled, createStopWord, setStopped, type StopWord } from '../training/stop-word.js';

/** What the worker is given. */
export interface StatisticsRequest extends Omit<StatisticsTask, 'signal'> {
  readonly stop: StopWord;
}

export type StatisticsReply =
  | { readonly type: 'result'; readonly statistics: SiteStatistics }
  | { readonly type: 'failure'; readonly failure: WorkerFailure };

const ENTRY = new URL('./statistics-worker.js', import.meta.url);

/** Passes over the rows in a worker thread of their own, which ends with each: they are rare, and heartbeats go on. */
export class WorkerStatistics implements RowStatistics {
  async collect({ dataset, spec, signal }: StatisticsTask): Promise<SiteStatistics> {
    if (signal.aborted) throw cancelled();
    const request: StatisticsRequest = { dataset, spec, stop: createStopWord() };
    const worker = startSilentWorker(ENTRY, 'statistics', request);
    // A view at work in the database looks at no word.
    const release = onAbort(signal, () => {
      setStopped(request.stop);
      return setTimeout(() => {
        worker.terminate().catch(() => undefined);
      }, LIMITS.trainerStopMs).unref();
    });
    try {
      return await answerOf(worker);
    } catch (error) {
      throw isAborted(signal) ? cancelled() : error;
    } finally {
      release();
    }
  }
}

/** The answer of the worker, once it has ended: by then it has let its files go. */
function answerOf(worker: Worker): Promise<SiteStatistics> {
  return new Promise((resolve, reject) => {
    let reply: StatisticsReply | undefined;
    worker.on('message', (message: StatisticsReply) => {
      reply = message;
    });
    worker.on('exit', () => {
      if (reply === undefined) reject(died());
      else if (reply.type === 'failure') reject(fromFailure(reply.failure));
      else resolve(reply.statistics);
    });
  });
}

/** It may have fired since it was looked at. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted;

const died = (): TributaryError =>
  new TributaryError('TRAINING_FAILED', 'the worker that reads statistics stopped unexpectedly', {
    hint: 'it may have run out of memory',
  });
