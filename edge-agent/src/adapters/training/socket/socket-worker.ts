import { workerData } from 'node:worker_threads';

import { serveRequests } from '../request-server.js';
import { SocketRunner, type SocketSettings } from './socket-runner.js';

/** Entry of the worker that stands between the agent and a trainer of another process. */
serveRequests(new SocketRunner(workerData as SocketSettings));
