import { parentPort } from 'node:worker_threads';

import { quietLibrary } from '../training/backend.js';
import { toFailure } from '../training/failures.js';
import type { InferenceReply, Numbered } from './messages.js';
import { ServedNetworks } from './served-networks.js';

/** Entry of the inference worker: a TensorFlow.js of its own, so that training does not delay an answer. */
quietLibrary();
const networks = new ServedNetworks();
let last: Promise<unknown> = Promise.resolve();

parentPort?.on('message', ({ id, request }: Numbered) => {
  last = last
    .then(() => networks.run(request))
    .then(
      (answer) => {
        reply({ id, answer });
      },
      (error: unknown) => {
        reply({ id, failure: toFailure(error) });
      },
    );
});

function reply(message: InferenceReply): void {
  const scores =
    'answer' in message && message.answer.kind === 'scores' ? [message.answer.scores.buffer] : [];
  parentPort?.postMessage(message, scores as ArrayBuffer[]);
}
