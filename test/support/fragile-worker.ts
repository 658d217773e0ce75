import { parentPort, workerData } from 'node:worker_threads';

import type { Numbered } from '@tributary/edge-agent/internal/adapters/inference/messages.js';
import '@tributary/edge-agent/internal/adapters/inference/worker.js';

/** Inputs that end the inference worker where they come first in a batch. */
export const DEADLY = 666;
/** An input at which it never answers. */
export const ENDLESS = 777;

/** Shared by all workers of a test: how many of them may still die, and 1 while none builds a network. */
const deaths = new Int32Array(workerData as SharedArrayBuffer);
const GATE = 1;

parentPort?.on('message', ({ request }: Numbered) => {
  if (request.kind === 'build' && deaths.length > GATE) Atomics.wait(deaths, GATE, 1);
  if (request.kind !== 'score') return;
  const [first] = request.inputs;
  if (first === ENDLESS) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  if (first === DEADLY && Atomics.sub(deaths, 0, 1) > 0) process.exit(7);
});
