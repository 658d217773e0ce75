import { quietLibrary } from './backend.js';
import type { ProbeAnswer, ProbeRequest } from './probe-process.js';
import { tryBackend } from './trial.js';

/** Entry of the probe process: one question, one answer. */
quietLibrary();

process.once('message', ({ backend, model, packages }: ProbeRequest) => {
  const answer = (message: ProbeAnswer): void => {
    process.send?.(message);
  };
  tryBackend(backend, model, packages).then(
    ({ fault }) => {
      answer(fault === undefined ? {} : { fault });
    },
    () => {
      answer({ fault: 'a trial step failed' });
    },
  );
});
