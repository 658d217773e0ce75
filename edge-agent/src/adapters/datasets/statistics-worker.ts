import { parentPort, workerData } from 'node:worker_threads';

import { toFailure } from '../training/failures.js';
import { requireRunning } from '../training/stop-word.js';
import { collectStatistics } from './feature-statistics.js';
import type { StatisticsReply, StatisticsRequest } from './worker-statistics.js';

/** Entry of the worker: one pass over the rows, one answer, the end. */
const request = workerData as StatisticsRequest;

const poll = (): void => requireRunning(request.stop);

const reply: StatisticsReply = await collectStatistics(request, poll).then(
  (statistics) => ({ type: 'result', statistics }),
  (error: unknown) => ({ type: 'failure', failure: toFailure(error) }),
);
parentPort?.postMessage(reply);
