import { parentPort } from 'node:worker_threads';

import { quietLibrary } from './backend.js';
import { toFailure } from './failures.js';
import type { WorkerReply, WorkerRequest } from './messages.js';
import { TaskRunner } from './task-runner.js';

/** Entry of the training worker: its own TensorFlow.js, apart from the thread that talks to the coordinator. */
quietLibrary();
const runner = new TaskRunner();

parentPort?.on('message', (request: WorkerRequest) => {
  const report = (reply: WorkerReply, transfer: readonly ArrayBufferLike[] = []): void => {
    parentPort?.postMessage(reply, transfer as ArrayBuffer[]);
  };
  runner.run(request, report).then(
    ({ result, tensors }) => {
      report({ type: 'result', result, tensors }, buffersOf(result));
    },
    (error: unknown) => {
      report({ type: 'failure', failure: toFailure(error) });
    },
  );
});

/** Memory that goes over to the agent instead of being copied. */
function buffersOf(result: Extract<WorkerReply, { type: 'result' }>['result']): readonly ArrayBufferLike[] {
  switch (result.kind) {
    case 'train':
      return [result.delta.buffer];
    case 'predict':
      return [result.scores.buffer, result.labels.buffer];
    case 'evaluate':
      return [];
  }
}
