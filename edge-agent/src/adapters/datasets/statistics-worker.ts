import { parentPort, workerData } from 'node:worker_threads';

import { TributaryError } from '@tributary/proto';

import { toFailure } from '../training/failures.js';
import { collectStatistics } from './feature-statistics.js';
import type { StatisticsReply, StatisticsRequest } from './worker-statistics.js';

/** Entry of the worker: one pass over the rows, one answer, the end. */
const request = workerData as StatisticsRequest;

const poll = (): void => {
  if (Atomics.load(request.stop, 0) !== 0)
    throw new TributaryError('JOB_CANCELLED', 'the training was cancelled');
};

const reply: StatisticsReply = await collectStatistics(request, poll).then(
  (statistics) => ({ type: 'result', statistics }),
  (error: unknown) => ({ type: 'failure', failure: toFailure(error) }),
);
parentPort?.postMessage(reply);
