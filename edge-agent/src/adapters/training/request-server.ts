import { parentPort } from 'node:worker_threads';

import { toFailure } from './failures.js';
import type { WorkerReply, WorkerRequest, WorkerResult } from './messages.js';

/** Carries out the requests of a worker, one at a time. */
export interface RequestRunner {
  run(
    request: WorkerRequest,
    report: (reply: WorkerReply) => void,
  ): Promise<{ readonly result: WorkerResult; readonly tensors: number }>;
}

/** Answers the requests that come to this worker thread. */
export function serveRequests(runner: RequestRunner): void {
  const report = (reply: WorkerReply): void => {
    parentPort?.postMessage(reply, buffersOf(reply) as ArrayBuffer[]);
  };
  parentPort?.on('message', (request: WorkerRequest) => {
    runner.run(request, report).then(
      ({ result, tensors }) => {
        report({ type: 'result', result, tensors });
      },
      (error: unknown) => {
        report({ type: 'failure', failure: toFailure(error) });
      },
    );
  });
}

/** Memory that goes over to the agent instead of being copied. */
function buffersOf(reply: WorkerReply): readonly ArrayBufferLike[] {
  if (reply.type === 'checkpoint') return [reply.bytes.buffer];
  if (reply.type !== 'result') return [];
  const { result } = reply;
  switch (result.kind) {
    case 'train':
      return [result.delta.buffer];
    case 'predict':
      return [result.scores.buffer, result.labels.buffer];
    case 'evaluate':
    case 'explain':
      return [];
  }
}
