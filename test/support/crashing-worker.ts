import { parentPort } from 'node:worker_threads';

import type { TaskRequest } from '@tributary/edge-agent/internal/adapters/training/messages.js';
import '@tributary/edge-agent/internal/adapters/training/worker.js';

import { CRASHES, CRASH_TEXT } from './crash-rounds.js';

/** The training worker of the agent, except in the rounds of {@link CRASHES}. */
parentPort?.on('message', ({ round }: TaskRequest) => {
  if (round === CRASHES.exit) process.exit(7);
  if (round === CRASHES.throw) throw new Error(CRASH_TEXT);
  if (round === CRASHES.hang) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});
